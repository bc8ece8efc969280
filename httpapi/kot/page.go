package kot

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/coveydb/covey/httpapi/web"
)

// The two refusals that are no pages.
const (
	passwordText = "Could not verify your access level for that URL.\nYou have to login with proper credentials"
	accessText   = "Access to this URL is restricted.\nYou do not have the necessary permissions"
)

// pageTexts are the sentences of error pages by status. Those of the real
// server are its own to the byte.
var pageTexts = map[int]string{
	http.StatusBadRequest:            "The browser (or proxy) sent a request that this server could not understand.",
	http.StatusNotFound:              "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.",
	http.StatusMethodNotAllowed:      "The method is not allowed for the requested URL.",
	http.StatusRequestEntityTooLarge: "The request is larger than this server accepts.",
	http.StatusInternalServerError:   "The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.",
	http.StatusServiceUnavailable:    "The server has no contact to a majority of its cluster. Nothing was changed, please try again.",
	http.StatusGatewayTimeout:        "The server did not learn in time whether the change was made. Please look before you try again.",
	http.StatusInsufficientStorage:   "The server has no room left on its disk. Nothing was changed.",
}

// page renders an error as the real server's framework does.
func page(status int, text string) string {
	phrase := http.StatusText(status)
	return fmt.Sprintf("<!doctype html>\n<html lang=en>\n<title>%d %s</title>\n<h1>%s</h1>\n<p>%s</p>\n", status, phrase, phrase, text)
}

// answer writes an error: what the contract says as the body, and what was
// wrong in a header.
func answer(w http.ResponseWriter, _ *http.Request, f web.Failure) {
	h := w.Header()
	text, ok := pageTexts[f.Status]
	if !ok {
		text = http.StatusText(f.Status) + "."
	}
	body := ""
	switch f.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"], body = wantPassword, passwordText
	case http.StatusForbidden:
		h["Www-Authenticate"], body = wantAccess, accessText
	case http.StatusMethodNotAllowed:
		h["Allow"] = []string{f.Allow}
	case http.StatusTooManyRequests:
		text = f.Reason // the limit, in words of ours
	case http.StatusServiceUnavailable:
		h["Retry-After"] = retryAfter
	case http.StatusGatewayTimeout:
		h["Covey-Outcome"] = unknown
	}
	if body == "" {
		body = page(f.Status, text)
	}
	h["Covey-Reason"] = []string{web.HeaderText(f.Reason)}
	h["Content-Type"] = htmlType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(body))
}
