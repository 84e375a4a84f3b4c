package httpapi

import (
	"net/http"
	"strings"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// authorise finds out who asks and whether the role reaches. The key is looked up on every request, so that a revoked one
// is refused at once.
func (s *server) authorise(r *http.Request, need tenant.Role) error {
	key, err := bearer(r)
	if err != nil {
		return err
	}
	p, err := s.Keys.PrincipalByKey(r.Context(), tenant.HashKey(key))
	if err != nil {
		return err
	}
	exchangeOf(r.Context()).principal = p
	if !p.Role.Includes(need) {
		return fault.Newf(fault.CodeForbidden, "This needs the role %s; the API key has %s.", need, p.Role)
	}
	return nil
}

func bearer(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", fault.New(fault.CodeUnauthenticated, "")
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || !tenant.LooksLikeKey(key) {
		return "", fault.New(fault.CodeUnauthenticated, "")
	}
	return key, nil
}

// caller is the tenant that the request's key belongs to; nothing else in a request can name a tenant.
func caller(r *http.Request) tenant.ID { return exchangeOf(r.Context()).principal.Tenant }
