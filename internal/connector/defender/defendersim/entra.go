package defendersim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Audiences whose tokens carry the roles of WindowsDefenderATP.
var defenderAudiences = map[string]bool{
	"https://api.securitycenter.microsoft.com":                 true,
	"https://securitycenter.onmicrosoft.com/windowsatpservice": true,
	"https://api.securitycenter.windows.com":                   true,
}

// Other resources every directory holds; their tokens have no Defender roles.
const (
	audienceXDR   = "https://api.security.microsoft.com"
	audienceGraph = "https://graph.microsoft.com"
)

// entraRequest is a token request with its parts checked one after another.
type entraRequest struct {
	form      url.Values
	v1        bool
	clientID  string
	secret    string
	resource  string
	directory *directory
	settings  DirectorySpec
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
	q, a, refusal := s.checkTokenRequest(r, rt)
	if refusal != nil {
		refusal.write(w, s.now())
		return
	}
	token, err := s.sign(s.newClaims(q.settings, a, q.resource))
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

// checkTokenRequest checks in Entra's order as far as known: form, directory, application, scope, secret, policy, resource.
func (s *Simulator) checkTokenRequest(r *http.Request, rt route) (*entraRequest, App, *entraError) {
	q := &entraRequest{v1: rt.name == "token_v1"}
	if refusal := q.readForm(r); refusal != nil {
		return nil, App{}, refusal
	}
	d, refusal := s.resolveTenant(rt.tenant, false)
	if refusal != nil {
		return nil, App{}, refusal
	}
	q.directory, q.settings = d, d.settings()
	if refusal := q.checkParameters(); refusal != nil {
		return nil, App{}, refusal
	}
	a, refusal := q.authenticate(s)
	if refusal != nil {
		return nil, App{}, refusal
	}
	return q, a, q.checkPolicy(a)
}

func (q *entraRequest) readForm(r *http.Request) *entraError {
	if r.Method != http.MethodPost {
		return entra(900561, "invalid_request", 400, "The endpoint only accepts POST requests. Received a "+r.Method+" request.")
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return entra(900144, "invalid_request", 400, "The request body must contain the following parameter: 'grant_type'.")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return entra(9002313, "invalid_request", 400, "Invalid request. Request is malformed or invalid.")
	}
	q.form = r.PostForm
	q.clientID, q.secret = q.form.Get("client_id"), q.form.Get("client_secret")
	if id, secret, ok := basicAuth(r); ok {
		q.clientID, q.secret = id, secret
	}
	return nil
}

// basicAuth reads HTTP Basic credentials, which RFC 6749 section 2.3.1 wants form-encoded before base64.
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", "", false
	}
	user, pass, found := strings.Cut(string(raw), ":")
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(pass)
	return id, secret, found && err1 == nil && err2 == nil
}

// resolveTenant finds the directory a path names.
func (s *Simulator) resolveTenant(tenant string, discovery bool) (*directory, *entraError) {
	word := "invalid_request"
	if discovery {
		word = "invalid_tenant"
	}
	switch strings.ToLower(tenant) {
	case "common", "organizations", "consumers":
		return nil, entra(50059, "invalid_request", 400, "No tenant-identifying information found in either the request or implied by any provided credentials.")
	}
	if !guidForm.MatchString(tenant) && !domainForm.MatchString(tenant) {
		return nil, entra(900023, "invalid_request", 400, "Specified tenant identifier '"+tenant+"' is neither a valid DNS name, nor a valid external domain.")
	}
	if d, ok := s.directory(tenant); ok {
		return d, nil
	}
	return nil, entra(90002, word, 400, "Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. "+
		"Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.")
}

func (q *entraRequest) checkParameters() *entraError {
	missing := func(name string) *entraError {
		return entra(900144, "invalid_request", 400, "The request body must contain the following parameter: '"+name+"'.")
	}
	switch grant := q.form.Get("grant_type"); {
	case grant == "":
		return missing("grant_type")
	case grant != "client_credentials":
		return entra(70003, "unsupported_grant_type", 400, "The app requested an unsupported grant type '"+grant+"'.")
	case q.clientID == "":
		return missing("client_id")
	}
	if q.v1 {
		if q.resource = strings.TrimSuffix(q.form.Get("resource"), "/"); q.resource == "" {
			return missing("resource")
		}
		return nil
	}
	if strings.TrimSpace(q.form.Get("scope")) == "" {
		return missing("scope")
	}
	return q.readScope(q.form.Get("scope"))
}

// readScope takes the one resource of a scope. Libraries add OpenID words even for this grant; they are ignored.
func (q *entraRequest) readScope(scope string) *entraError {
	for _, word := range strings.Fields(scope) {
		if slices.Contains([]string{"openid", "offline_access", "profile"}, word) {
			continue
		}
		resource, ok := strings.CutSuffix(word, "/.default")
		switch {
		case !ok:
			return entra(1002012, "invalid_scope", 400, "The provided value for scope "+scope+" is not valid. "+
				"Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).")
		case !strings.HasPrefix(resource, "https://") && !strings.HasPrefix(resource, "api://") && !guidForm.MatchString(resource):
			return entra(70011, "invalid_scope", 400, "The provided request must include a 'scope' input parameter. "+
				"The provided value for the input parameter 'scope' is not valid. The scope "+scope+" is not valid.")
		case q.resource != "" && q.resource != resource:
			return entra(700022, "invalid_scope", 400, "The provided value for the input parameter scope '"+scope+
				"' is not valid because it contains more than one resource.")
		}
		q.resource = resource
	}
	if q.resource == "" {
		return entra(70011, "invalid_scope", 400, "The provided value for the input parameter 'scope' is not valid.")
	}
	return nil
}

func (q *entraRequest) authenticate(s *Simulator) (App, *entraError) {
	a, ok := q.directory.app(q.clientID)
	switch {
	case !ok:
		return a, entra(700016, "unauthorized_client", 400, "Application with identifier '"+q.clientID+"' was not found in the directory '"+q.settings.Domain+
			"'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. "+
			"You may have sent your authentication request to the wrong tenant.")
	case a.NoServicePrincipal:
		return a, entra(7000229, "invalid_client", 401, "The client application "+a.ClientID+" is missing service principal in the tenant "+q.settings.ID+".")
	case q.secret == "":
		return a, entra(7000216, "invalid_client", 401, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
	case q.secret != a.Secret:
		return a, entra(7000215, "invalid_client", 401, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "+
			"not the client secret ID, for a secret added to app '"+a.ClientID+"'.")
	case !a.SecretExpiresAt.IsZero() && !s.now().Before(a.SecretExpiresAt):
		return a, entra(7000222, "invalid_client", 401, "The provided client secret keys for app '"+a.ClientID+"' are expired. "+
			"Visit the Azure portal to create new keys for your app, or consider using certificate credentials for added security.")
	}
	return a, nil
}

func (q *entraRequest) checkPolicy(a App) *entraError {
	switch {
	case a.Disabled:
		return entra(7000112, "unauthorized_client", 400, "Application '"+a.ClientID+"' is disabled.")
	case a.ConditionalAccessBlocked:
		e := entra(53003, "invalid_grant", 400, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.")
		e.SubError = "message_only"
		e.Claims = `{"access_token":{"capolids":{"essential":true,"values":["` + guidOf("policy", q.settings.ID) + `"]}}}`
		return e
	case q.resource == audienceXDR || q.resource == audienceGraph:
		return nil
	case !defenderAudiences[q.resource], q.settings.NotProvisioned:
		return entra(500011, "invalid_resource", 400, "The resource principal named "+q.resource+" was not found in the tenant named "+q.settings.Domain+
			". This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.")
	case q.settings.ResourceDisabled:
		return entra(500014, "invalid_resource", 400, "The service principal for resource '"+q.resource+"' is disabled. This indicate that a subscription within "+
			"the tenant has lapsed, or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it.")
	}
	return nil
}

func (s *Simulator) serveOpenID(w http.ResponseWriter, r *http.Request, tenant string) {
	d, refusal := s.resolveTenant(tenant, true)
	if refusal != nil {
		refusal.write(w, s.now())
		return
	}
	base, id := baseURL(r), d.settings().ID
	writeEntra(w, http.StatusOK, NewGUID(), map[string]any{
		"token_endpoint":                        base + "/" + id + "/oauth2/v2.0/token",
		"authorization_endpoint":                base + "/" + id + "/oauth2/v2.0/authorize",
		"jwks_uri":                              base + "/" + id + "/discovery/v2.0/keys",
		"issuer":                                base + "/" + id + "/v2.0",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"subject_types_supported":               []string{"pairwise"},
		"tenant_region_scope":                   "EU",
		"cloud_instance_name":                   "microsoftonline.com",
	})
}

func (s *Simulator) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	base := baseURL(r)
	writeEntra(w, http.StatusOK, NewGUID(), map[string]any{
		"tenant_discovery_endpoint": base + "/common/v2.0/.well-known/openid-configuration", "api-version": "1.1",
		"metadata": []any{map[string]any{"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host}}},
	})
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
