package defendersim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// refuse makes the refusal with this AADSTS number, which refusals must hold. Pairs replace the braces of its text.
func refuse(code int, pairs ...string) *entraError {
	known, ok := refusals[code]
	if !ok {
		panic(fmt.Sprintf("defendersim: AADSTS%d is in no table", code))
	}
	text := strings.NewReplacer(pairs...).Replace(known.text)
	e := &entraError{Word: known.word, Codes: []int{code}, Text: fmt.Sprintf("AADSTS%d: %s", code, text), status: known.status}
	if slices.Contains(policyRefusals, code) {
		e.SubError = "message_only"
		e.Claims = `{"access_token":{"capolids":{"essential":true,"values":["` + guidOf("policy", text) + `"]}}}`
	}
	return e
}

// write stamps the refusal with fresh ids and the time, and sends it. The error page is one of the login host asked, or of
// the commercial one where the simulator goes by a name of its own.
func (e *entraError) write(w http.ResponseWriter, r *http.Request, now time.Time) {
	login := loginHosts[0]
	if at := siteOf(r); at.login && !at.api {
		login = r.Host
	}
	e.URI = fmt.Sprintf("https://%s/error?code=%d", login, e.Codes[0])
	e.Trace, e.Request = NewGUID(), NewGUID()
	if given := clientRequestID(r, route{}); guidForm.MatchString(given) {
		e.Request = given
	}
	e.Time = now.UTC().Format("2006-01-02 15:04:05Z")
	e.Text += fmt.Sprintf(" Trace ID: %s Correlation ID: %s Timestamp: %s", e.Trace, e.Request, e.Time)
	writeEntra(w, e.status, e.Trace, e)
}
