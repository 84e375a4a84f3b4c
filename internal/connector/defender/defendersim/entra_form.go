package defendersim

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func (q *entraRequest) readForm(r *http.Request) *entraError {
	if r.Method != http.MethodPost {
		return refuse(900561, "{method}", r.Method)
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return refuse(900144, "{parameter}", "grant_type")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return refuse(9002313)
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

func (q *entraRequest) checkParameters() *entraError {
	switch grant := q.form.Get("grant_type"); {
	case grant == "":
		return refuse(900144, "{parameter}", "grant_type")
	case grant != "client_credentials":
		return refuse(70003, "{grant}", grant)
	case q.clientID == "":
		return refuse(900144, "{parameter}", "client_id")
	}
	if q.v1 {
		if q.resource = strings.TrimSuffix(q.form.Get("resource"), "/"); q.resource == "" {
			return refuse(900144, "{parameter}", "resource")
		}
		return nil
	}
	if strings.TrimSpace(q.form.Get("scope")) == "" {
		return refuse(900144, "{parameter}", "scope")
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
			return refuse(1002012, "{scope}", scope)
		case !strings.HasPrefix(resource, "https://") && !strings.HasPrefix(resource, "api://") && !guidForm.MatchString(resource):
			return refuse(70011, "{scope}", scope)
		case q.resource != "" && q.resource != resource:
			return refuse(700022, "{scope}", scope)
		}
		q.resource = resource
	}
	if q.resource == "" {
		return refuse(70011, "{scope}", scope)
	}
	return nil
}
