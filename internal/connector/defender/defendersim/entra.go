package defendersim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// entraRequest is a token request with its parts checked one after another.
type entraRequest struct {
	form      url.Values
	v1        bool
	tenant    string // as in the path
	base      string // address the client used
	clientID  string
	secret    string
	resource  string
	directory *directory
	settings  DirectorySpec
	acr       string // appidacr: "1" a secret, "2" a signed assertion
}

// serveEntra answers below /{tenant}/.
func (s *Simulator) serveEntra(w http.ResponseWriter, r *http.Request, rt route) {
	switch rt.name {
	case "token", "token_v1":
		s.serveToken(w, r, rt)
	case "openid":
		s.serveOpenID(w, r, rt.tenant)
	case "discovery":
		s.serveDiscovery(w, r)
	}
}

func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request, rt route) {
	q := &entraRequest{v1: rt.name == "token_v1", tenant: rt.tenant, base: baseURL(r)}
	a, refusal := s.checkTokenRequest(q, r)
	if refusal != nil {
		if status, ok := s.switches().EntraStatus[refusal.Codes[0]]; ok {
			refusal.status = status
		}
		if refusal.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "60") // the page "Client application and server throttling"
		}
		refusal.write(w, r, s.now())
		return
	}
	token, err := s.sign(s.newClaims(q, a))
	if err != nil {
		s.log.ErrorContext(r.Context(), "token not signed", "error", err)
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	life := int64(tokenLife.Seconds())
	body := map[string]any{"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token}
	if q.v1 {
		now := s.now().Unix()
		text := strconv.FormatInt(life, 10)
		body = map[string]any{"token_type": "Bearer", "expires_in": text, "ext_expires_in": text, "resource": q.resource,
			"expires_on": strconv.FormatInt(now+life, 10), "not_before": strconv.FormatInt(now-int64(clockSkew.Seconds()), 10), "access_token": token}
	}
	writeEntra(w, http.StatusOK, NewGUID(), body)
}

// checkTokenRequest checks in Entra's order as far as known: form, directory, application, scope, credential, policy, resource.
func (s *Simulator) checkTokenRequest(q *entraRequest, r *http.Request) (App, *entraError) {
	if refusal := q.readForm(r); refusal != nil {
		return App{}, refusal
	}
	d, refusal := s.resolveTenant(q.tenant, siteOf(r))
	if refusal != nil {
		return App{}, s.withoutTenant(q, refusal)
	}
	q.directory, q.settings = d, d.settings()
	if refusal := q.checkParameters(); refusal != nil {
		return App{}, refusal
	}
	a, refusal := q.authenticate(s)
	if refusal != nil {
		return App{}, refusal
	}
	return a, q.checkPolicy(a)
}

func writeEntra(w http.ResponseWriter, status int, requestID string, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("X-Ms-Request-Id", requestID)
	h.Set("X-Ms-Ests-Server", "2.1.0 - SIMULATED ProdSlices")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a failed write means the client has gone
}
