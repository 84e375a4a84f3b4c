package httpapi

import (
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
)

func (s *server) listIntegrations(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	kinds := chosen(p, "type", s.kinds())
	states := chosen(p, "state", integrationStates)
	request, err := s.paging(r, p, inventory.Sort{})
	if err != nil {
		return err
	}
	items, end, err := s.selectIntegrations(r, request, func(i *connector.Integration) bool {
		inState := slices.Contains(states, i.State) || len(states) == 0 && i.State != connector.StateDisconnected
		return inState && (len(kinds) == 0 || slices.Contains(kinds, i.Kind))
	})
	if err != nil {
		return err
	}
	present, err := s.presenter(r.Context(), caller(r), items)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, items, end, present)
}

// selectIntegrations fills a page with what keep takes. A tenant has few integrations, so it reads on instead of asking
// the store to filter.
func (s *server) selectIntegrations(r *http.Request, page inventory.PageRequest, keep func(*connector.Integration) bool) ([]connector.Integration, inventory.Position, error) {
	var kept []connector.Integration
	wanted := page.Limit
	for {
		page.Limit = wanted - len(kept)
		items, end, err := s.Integrations.List(r.Context(), caller(r), page)
		if err != nil {
			return nil, nil, err
		}
		for i := range items {
			if keep(&items[i]) {
				kept = append(kept, items[i])
			}
		}
		if end == nil || len(kept) == wanted {
			return kept, end, nil
		}
		page.After = end
	}
}

// kinds are the types that can be connected.
func (s *server) kinds() words[connector.Kind] {
	var w words[connector.Kind]
	for _, d := range s.Integrations.Catalogue() {
		w = append(w, word[connector.Kind]{string(d.Kind), d.Kind})
	}
	return w
}

func (s *server) getIntegration(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	i, err := s.Integrations.Get(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	body, err := s.present(r, i)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", body.ETag)
	if noneMatch(r, body.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return answer(w, http.StatusOK, body)
}

func (s *server) connectIntegration(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	previewOnly := p.flag("validate_only")
	if err := p.err(); err != nil {
		return err
	}
	var body api.ConnectRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	draft, err := s.draft(&body)
	if err != nil {
		return err
	}
	if previewOnly != nil && *previewOnly {
		return s.previewIntegration(w, r, draft)
	}
	i, made, err := s.Integrations.Connect(r.Context(), caller(r), draft)
	if err != nil {
		return s.whichConnected(r, &draft, err)
	}
	s.Wake()
	return s.answerConnected(w, r, i, made)
}

func (s *server) answerConnected(w http.ResponseWriter, r *http.Request, i connector.Integration, made []connector.Check) error {
	w.Header().Set("Location", "/v1/integrations/"+integrationID(i.PublicID))
	return s.answerIntegration(w, r, http.StatusCreated, i, made)
}

// connectedBefore answers without the checks that were made then.
func (s *server) connectedBefore(w http.ResponseWriter, r *http.Request, made string, _ func() (string, error)) error {
	id, err := madeID(integrationPrefix, made)
	if err != nil {
		return err
	}
	i, err := s.Integrations.Get(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	return s.answerConnected(w, r, i, nil)
}

func (s *server) previewIntegration(w http.ResponseWriter, r *http.Request, draft connector.Draft) error {
	i, made, err := s.Integrations.Preview(r.Context(), caller(r), draft)
	if err != nil {
		return s.whichConnected(r, &draft, err)
	}
	e, err := s.Tenants.Entitlement(r.Context(), caller(r))
	if err != nil {
		return err
	}
	full := integration(&i, e, s.Now(), nil)
	return answer(w, http.StatusOK, api.IntegrationPreview{
		Type: full.Type, Name: full.Name, PGP: full.PGP, Credentials: full.Credentials, Settings: full.Settings,
		EffectiveSettings: full.EffectiveSettings, BlockedBy: full.BlockedBy, Schedule: full.Schedule, Validation: s.validation(made),
	})
}

// draft turns the form into what the service connects.
func (s *server) draft(b *api.ConnectRequest) (connector.Draft, error) {
	settings, err := overlay(inventory.DefaultSettings(), b.Settings)
	if err != nil {
		return connector.Draft{}, err
	}
	if err := s.checkExpiry(connector.ExpiryPointer, b.Credentials.SecretExpiresAt); err != nil {
		return connector.Draft{}, err
	}
	d := connector.Draft{
		Kind: connector.Kind(b.Type), Name: orZero(b.Name), SecretExpiresAt: orZero(b.Credentials.SecretExpiresAt).UTC(), Settings: settings, Paused: orZero(b.StartPaused),
		Credentials: proof(b.Credentials.Method, b.Credentials.ClientSecret, b.Credentials.Certificate),
	}
	d.Credentials.DirectoryID, d.Credentials.ClientID = b.Credentials.TenantID, b.Credentials.ClientID
	if b.Schedule != nil {
		d.IntervalHours = b.Schedule.IntervalHours
	}
	return d, nil
}

// proof is what the application signs in with: of secret and certificate the one that goes with the method, which the rules of
// the request have made sure of.
func proof(method *api.SignInMethod, secret, certificate api.Secret) connector.Credentials {
	c := connector.Credentials{Method: connector.Method(orZero(method)), Secret: seal.NewSecret(secret.Reveal())}
	if c.Method == connector.MethodCertificate {
		c.Secret = seal.NewSecret(certificate.Reveal())
	}
	return c
}

// lastYear is the last one that a time of RFC 3339 can have.
const lastYear = 9999

// checkExpiry refuses an expiry in the past, the zero time included, and one that in UTC could not be written any more; nil means that
// none was given.
func (s *server) checkExpiry(pointer string, at *time.Time) error {
	if at == nil || at.After(s.Now()) && at.UTC().Year() <= lastYear {
		return nil
	}
	f := fault.New(fault.CodeInvalidExpiry, "The time lies in the past.")
	f.Fields = []fault.Field{{Pointer: pointer, Code: "too_small", Detail: "Must lie in the future"}}
	if at.After(s.Now()) {
		f = fault.New(fault.CodeInvalidExpiry, "The time lies too far ahead.")
		f.Fields = []fault.Field{{Pointer: pointer, Code: "too_large", Detail: "Must lie before the year 10000 in UTC"}}
	}
	return f
}

// whichConnected names the integration that an already connected directory has.
func (s *server) whichConnected(r *http.Request, d *connector.Draft, refused error) error {
	if !fault.Is(refused, fault.CodeAlreadyConnected) {
		return refused
	}
	first := inventory.PageRequest{Limit: 1}
	found, _, err := s.selectIntegrations(r, first, func(i *connector.Integration) bool {
		return i.Kind == d.Kind && sameGUID(i.DirectoryID, d.Credentials.DirectoryID) && !i.Gone()
	})
	if err != nil {
		return err
	}
	f := fault.As(refused)
	if len(found) == 1 {
		f.Data = found[0].PublicID
	}
	return f
}

func sameGUID(a, b string) bool {
	x, errX := uuid.Parse(a)
	y, errY := uuid.Parse(b)
	return errX == nil && errY == nil && x == y
}
