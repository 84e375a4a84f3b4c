package defendersim

import (
	"fmt"
	"net/http"
	"time"
)

// entraError is a refusal of Entra ID. Claims is JSON in a string, as Entra sends it.
type entraError struct {
	Word     string `json:"error"`
	Text     string `json:"error_description"`
	Codes    []int  `json:"error_codes"`
	Time     string `json:"timestamp"`
	Trace    string `json:"trace_id"`
	Request  string `json:"correlation_id"`
	URI      string `json:"error_uri,omitempty"`
	SubError string `json:"suberror,omitempty"`
	Claims   string `json:"claims,omitempty"`
	status   int
}

func entra(code int, word string, status int, text string) *entraError {
	return &entraError{Word: word, Codes: []int{code}, Text: fmt.Sprintf("AADSTS%d: %s", code, text), status: status,
		URI: fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", code)}
}

// write stamps the refusal with fresh ids and the time, and sends it.
func (e *entraError) write(w http.ResponseWriter, now time.Time) {
	e.Trace, e.Request = NewGUID(), NewGUID()
	e.Time = now.UTC().Format("2006-01-02 15:04:05Z")
	e.Text += fmt.Sprintf(" Trace ID: %s Correlation ID: %s Timestamp: %s", e.Trace, e.Request, e.Time)
	writeEntra(w, e.status, e.Trace, e)
}
