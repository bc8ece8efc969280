package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ErrGone is what the error of an answer of 410 is: the target wants no more
// messages.
var ErrGone = errors.New("the target wants no more messages")

// A StatusError is an answer that does not take a message.
type StatusError struct {
	Status int
	after  time.Time
}

// Error implements error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("the target answered %d", e.Status)
	if name := http.StatusText(e.Status); name != "" {
		text += " " + name
	}
	switch {
	case e.Status/100 == 3:
		text += ": redirects are not followed"
	case e.Status == http.StatusGone:
		text += ": it wants no more messages"
	}
	return text
}

// Is reports whether target is what the answer stands for.
func (e *StatusError) Is(target error) bool {
	return target == ErrGone && e.Status == http.StatusGone
}

// RetryAfter is when the target wants to be asked again, and the zero time if it
// did not say so. Only an answer of 429 or 503 is asked for it.
func (e *StatusError) RetryAfter() time.Time { return e.after }

// judge says what an answer means, at now.
func judge(answer *http.Response, now time.Time) error {
	if answer.StatusCode/100 == 2 {
		return nil
	}
	e := &StatusError{Status: answer.StatusCode}
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		e.after = parseRetryAfter(answer.Header.Get("Retry-After"), now)
	}
	return e
}

// parseRetryAfter reads the header (RFC 9110, 10.2.3): seconds, or a date. What
// is damaged or past is the zero time; no wait is longer than a day.
func parseRetryAfter(text string, now time.Time) time.Time {
	const most = 24 * time.Hour
	at := time.Time{}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		at = now.Add(min(time.Duration(seconds)*time.Second, most))
	} else if date, err := http.ParseTime(text); err == nil {
		at = date
		if at.Sub(now) > most {
			at = now.Add(most)
		}
	}
	if !at.After(now) {
		return time.Time{}
	}
	return at
}

// timestamp is the value of webhook-timestamp: unix seconds.
func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
