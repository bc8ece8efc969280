package query

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// TimeLayout is the layout in which the server writes times, in UTC. The order
// of such texts is the order of the times.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// ParseTime reads a time as ISO 8601 writes it and ECMAScript reads it: a year,
// a month, a day, or a day with a time, which a T or a blank parts from it and
// which may have seconds, a fraction of up to nine digits and a zone (Z, +01:00,
// +0100, +01). Without a zone it is UTC.
func ParseTime(text string) (time.Time, bool) {
	if len(text) < len("2006") || len(text) > len("2006-01-02T15:04:05.999999999+01:00") {
		return time.Time{}, false
	}
	r := timeReader{rest: text, ok: true}
	year, month, day := r.digits(4, 0, 9999), 1, 1
	if r.skip("-") {
		month = r.digits(2, 1, 12)
		if r.skip("-") {
			day = r.digits(2, 1, daysIn(year, month))
			if r.skip("T ") {
				return r.clock(year, month, day)
			}
		}
	}
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC), r.ok && r.rest == ""
}

// timeReader reads a time from left to right; ok turns false at what is none.
type timeReader struct {
	rest string
	ok   bool
}

// skip takes one byte if it is among those in set.
func (r *timeReader) skip(set string) bool {
	if !r.ok || r.rest == "" || strings.IndexByte(set, r.rest[0]) < 0 {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// digits takes a number of n digits between lo and hi.
func (r *timeReader) digits(n, lo, hi int) int {
	if !r.ok || len(r.rest) < n {
		r.ok = false
		return lo
	}
	number := 0
	for i := range n {
		c := r.rest[i] - '0'
		r.ok = r.ok && c <= 9
		number = number*10 + int(c)
	}
	r.rest = r.rest[n:]
	r.ok = r.ok && lo <= number && number <= hi
	return number
}

// clock reads the time of a day, to the end.
func (r *timeReader) clock(year, month, day int) (time.Time, bool) {
	hour := r.digits(2, 0, 23)
	r.ok = r.ok && r.skip(":")
	minute, second, nano := r.digits(2, 0, 59), 0, 0
	if r.skip(":") {
		second = r.digits(2, 0, 59)
		if r.skip(".,") {
			nano = r.fraction()
		}
	}
	offset := r.zone()
	at := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC)
	return at.Add(-offset), r.ok && r.rest == ""
}

func (r *timeReader) fraction() int {
	nano, unit := 0, int(time.Second)
	for r.rest != "" && '0' <= r.rest[0] && r.rest[0] <= '9' && unit > 1 {
		unit /= 10
		nano += int(r.rest[0]-'0') * unit
		r.rest = r.rest[1:]
	}
	r.ok = r.ok && unit < int(time.Second)
	return nano
}

func (r *timeReader) zone() time.Duration {
	if r.rest == "" || r.skip("Z") {
		return 0
	}
	sign := time.Duration(1)
	if r.skip("-") {
		sign = -1
	} else {
		r.ok = r.ok && r.skip("+")
	}
	hours, minutes := r.digits(2, 0, 23), 0
	if r.skip(":") || r.rest != "" {
		minutes = r.digits(2, 0, 59)
	}
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// resolveDate returns the time that the text of a $date means at now: an ISO
// text, or a macro.
func resolveDate(text string, now time.Time) (time.Time, error) {
	now = now.UTC()
	y, m, d := now.Date()
	switch text {
	case "$now":
		return now, nil
	case "$currentDate":
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), nil
	case "$currentMonth":
		return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC), nil
	case "$currentYear":
		return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	if chain, ok := strings.CutPrefix(text, "$moment"); ok && (chain == "" || chain[0] == '.') {
		return resolveMoment(text, chain, now)
	}
	at, ok := ParseTime(text)
	if !ok {
		return time.Time{}, errs.E(errs.Invalid, "$date: %q is neither a date of ISO 8601 nor $now, $currentDate, $currentMonth, $currentYear or $moment...", cut(text))
	}
	return at, nil
}

// maxAmount bounds what one link of a $moment chain moves by.
const maxAmount = 1_000_000

// resolveMoment follows a chain: .subtract.30.days.add.2.hours
func resolveMoment(text, chain string, at time.Time) (time.Time, error) {
	var links []string
	if chain != "" {
		links = strings.Split(chain[1:], ".")
	}
	for link := range slices.Chunk(links, 3) {
		if len(link) < 3 || link[0] != "add" && link[0] != "subtract" {
			return time.Time{}, errs.E(errs.Invalid, "$date: %q: links are add or subtract, a number and a unit", cut(text))
		}
		n, err := strconv.Atoi(link[1])
		if err != nil || n > maxAmount || n < -maxAmount {
			return time.Time{}, errs.E(errs.Invalid, "$date: %q: %q is no whole number up to %d", cut(text), cut(link[1]), maxAmount)
		}
		if link[0] == "subtract" {
			n = -n
		}
		next, ok := shift(at, n, link[2])
		if !ok {
			return time.Time{}, errs.E(errs.Invalid, "$date: %q: unknown unit %q (known: years, months, weeks, days, hours, minutes, seconds)", cut(text), cut(link[2]))
		}
		if at = next; at.Year() < 0 || at.Year() > 9999 {
			return time.Time{}, errs.E(errs.Invalid, "$date: %q: outside the years 0 to 9999", cut(text))
		}
	}
	return at, nil
}

// shift moves a time by n units. A month that is too short for the day ends
// with its last day, as in the moment library.
func shift(at time.Time, n int, unit string) (time.Time, bool) {
	switch strings.TrimSuffix(unit, "s") {
	case "year":
		return shiftMonths(at, 12*n), true
	case "month":
		return shiftMonths(at, n), true
	case "week":
		return at.AddDate(0, 0, 7*n), true
	case "day":
		return at.AddDate(0, 0, n), true
	case "hour":
		return at.Add(time.Duration(n) * time.Hour), true
	case "minute":
		return at.Add(time.Duration(n) * time.Minute), true
	case "second":
		return at.Add(time.Duration(n) * time.Second), true
	}
	return at, false
}

func shiftMonths(at time.Time, n int) time.Time {
	first := at.AddDate(0, n, 1-at.Day())
	return first.AddDate(0, 0, min(at.Day(), daysIn(first.Year(), int(first.Month())))-1)
}

// cut shortens a client's text for a message.
func cut(text string) string {
	const limit = 64
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}
