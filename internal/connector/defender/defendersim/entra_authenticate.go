package defendersim

import "net/http"

// authenticate finds the application and checks its credential.
func (q *entraRequest) authenticate(s *Simulator) (App, *entraError) {
	a, ok := q.directory.app(q.clientID)
	switch {
	case !ok:
		return a, refuse(700016, "{app}", q.clientID, "{domain}", q.settings.Domain)
	case a.Throttled:
		e := refuse(90055, "{directory}", q.settings.ID)
		e.status = http.StatusTooManyRequests
		return a, e
	case a.RefuseWith != 0:
		return a, q.refuseWith(a, s)
	case a.NoServicePrincipal:
		return a, refuse(7000229, "{app}", a.ClientID, "{directory}", q.settings.ID)
	case q.form.Get("client_assertion") != "":
		q.acr = "2"
		return a, q.checkAssertion(a, s.now())
	}
	q.acr = "1"
	return a, q.checkSecret(a, s)
}

// refuseWith is the refusal an application is set to, whatever the request holds.
func (q *entraRequest) refuseWith(a App, s *Simulator) *entraError {
	now := s.now().UTC().Format("1/2/2006 3:04:05 PM")
	return refuse(a.RefuseWith, "{app}", a.ClientID, "{directory}", q.settings.ID, "{domain}", q.settings.Domain, "{tenant}", q.settings.ID,
		"{resource}", q.resource, "{scope}", q.resource+"/.default", "{parameter}", "client_secret", "{grant}", "client_credentials",
		"{method}", http.MethodGet, "{reason}", "The key was not found", "{thumbprint}", "", "{now}", now, "{expiry}", now,
		"{issuer}", "", "{subject}", "", "{audience}", "")
}

func (q *entraRequest) checkSecret(a App, s *Simulator) *entraError {
	switch {
	case q.secret == "":
		if s.switches().MissingSecret7000218 {
			return refuse(7000218)
		}
		return refuse(7000216)
	case q.secret != a.Secret: // an application without a secret, too: then there is none to match
		return refuse(7000215, "{app}", a.ClientID)
	case !a.SecretExpiresAt.IsZero() && !s.now().Before(a.SecretExpiresAt):
		return refuse(7000222, "{app}", a.ClientID)
	}
	return nil
}

// checkPolicy decides whether an authenticated application gets a token for the resource.
func (q *entraRequest) checkPolicy(a App) *entraError {
	known, defender := q.settings.Cloud.has(q.resource)
	switch {
	case a.Disabled:
		return refuse(7000112, "{app}", a.ClientID)
	case a.ConditionalAccessBlocked:
		return refuse(53003)
	case !known, defender && q.settings.NotProvisioned:
		return refuse(500011, "{resource}", q.resource, "{domain}", q.settings.Domain)
	case defender && q.settings.ResourceDisabled:
		return refuse(500014, "{resource}", q.resource)
	}
	return nil
}
