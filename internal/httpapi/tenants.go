package httpapi

import (
	"net/http"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// maxTenantName is the longest name of a tenant.
const maxTenantName = 100

func (s *server) listTenants(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	f := tenant.Filter{States: chosen(p, "state", tenantStates), Name: p.text("name", 1, maxTenantName)}
	request, err := s.paging(r, p, inventory.Sort{})
	if err != nil {
		return err
	}
	found, end, err := s.Platform.PageTenants(r.Context(), f, request)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, found, end, managedTenant)
}

func (s *server) createTenant(w http.ResponseWriter, r *http.Request) error {
	var body api.CreateTenantRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := checkAccount(body.PGPAccount); err != nil {
		return err
	}
	created, err := s.Platform.CreateTenant(r.Context(), body.Name, orZero(body.PGPAccount))
	if err != nil {
		return err
	}
	return answerCreatedTenant(w, &created)
}

func answerCreatedTenant(w http.ResponseWriter, created *tenant.Tenant) error {
	w.Header().Set("Location", "/v1/tenants/"+tenant.PublicText(tenantPrefix, created.PublicID))
	return answerTenant(w, http.StatusCreated, created)
}

func checkAccount(account *string) error {
	if !tenant.ValidAccount(orZero(account)) {
		return invalid(fault.Field{Pointer: "/pgp_account", Code: "invalid_format", Detail: "Must be printable ASCII without spaces, no tenant's id and not *"})
	}
	return nil
}

func (s *server) tenantCreatedBefore(w http.ResponseWriter, r *http.Request, made string, _ func() (string, error)) error {
	id, err := madeID(tenantPrefix, made)
	if err != nil {
		return err
	}
	created, err := s.Platform.TenantByPublicID(r.Context(), id)
	if err != nil {
		return err
	}
	return answerCreatedTenant(w, &created)
}

func (s *server) getManagedTenant(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantOfPath(r)
	if err != nil {
		return err
	}
	shown := managedTenant(&t)
	w.Header().Set("ETag", shown.ETag)
	if noneMatch(r, shown.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return answer(w, http.StatusOK, shown)
}

func (s *server) updateTenant(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantOfPath(r)
	if err != nil {
		return err
	}
	var body api.TenantPatch
	if err := decode(r, &body, mediaMergePatch, mediaJSON); err != nil {
		return err
	}
	if err := checkAccount(body.PGPAccount); err != nil {
		return err
	}
	version, err := matchedVersion(r, t.PublicID, t.Version)
	if err != nil {
		return err
	}
	updated, err := s.Platform.UpdateTenant(r.Context(), t.ID, version, func(t *tenant.Tenant) { mergeTenant(t, &body) })
	if err != nil {
		return err
	}
	return answerTenant(w, http.StatusOK, &updated)
}

// mergeTenant applies a patch to what is there now; members that are left out keep their value.
func mergeTenant(t *tenant.Tenant, patch *api.TenantPatch) {
	if patch.Name != nil {
		t.Name = *patch.Name
	}
	if patch.PGPAccount != nil {
		t.Account = *patch.PGPAccount
	}
	if patch.State != nil {
		t.State = tenant.State(*patch.State)
	}
	if patch.Limits != nil {
		t.Limits = tenant.Limits{MaxIntegrations: int(orZero(patch.Limits.MaxIntegrations))}
	}
}

func (s *server) deleteTenant(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantOfPath(r)
	if err != nil {
		return err
	}
	version, err := demandedVersion(r, t.PublicID, t.Version)
	if err != nil {
		return err
	}
	deleting, err := s.Platform.DeleteTenant(r.Context(), t.ID, version)
	if err != nil {
		return err
	}
	s.Wake()
	return answerTenant(w, http.StatusAccepted, &deleting)
}

func answerTenant(w http.ResponseWriter, status int, t *tenant.Tenant) error {
	shown := managedTenant(t)
	w.Header().Set("ETag", shown.ETag)
	return answer(w, status, shown)
}

// sourceOfAPI tells entitlements that came this way from those that an operator's command set.
const sourceOfAPI = "api"

func (s *server) setEntitlements(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantOfPath(r)
	if err != nil {
		return err
	}
	var body api.EntitlementsInput
	if err := decode(r, &body); err != nil {
		return err
	}
	e, err := readEntitlement(&body)
	if err != nil {
		return err
	}
	if len(r.Header.Values("If-Match")) > 0 {
		now, err := s.Tenants.Entitlement(r.Context(), t.ID)
		if err != nil {
			return err
		}
		if e.Version, err = matchedVersion(r, entitlementsOf(t.PublicID), now.Version); err != nil {
			return err
		}
	}
	if err := s.Platform.SetEntitlement(r.Context(), t.ID, e); err != nil {
		return err
	}
	return s.answerEntitlements(w, r, t.ID, t.PublicID)
}

func (s *server) getTenantEntitlements(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantOfPath(r)
	if err != nil {
		return err
	}
	return s.answerEntitlements(w, r, t.ID, t.PublicID)
}

func readEntitlement(body *api.EntitlementsInput) (tenant.Entitlement, error) {
	e := tenant.Entitlement{InternalAssessments: orZero(body.InternalAssessments), MaxAssets: int(orZero(body.MaxAssets)), Source: sourceOfAPI}
	var fields []fault.Field
	read := func(pointer string, text *string) (day time.Time) {
		if text == nil {
			return day
		}
		day, err := time.Parse(time.DateOnly, *text)
		if err != nil {
			fields = append(fields, fault.Field{Pointer: pointer, Code: "invalid_format", Detail: "Must be a day such as 2027-12-31"})
		}
		return day
	}
	e.ValidFrom, e.ValidUntil = read("/valid_from", body.ValidFrom), read("/valid_until", body.ValidUntil)
	if len(fields) > 0 {
		return e, invalid(fields...)
	}
	if body.ValidUntil != nil && (e.ValidUntil.IsZero() || e.ValidUntil.Before(e.ValidFrom)) { // zero would read as no end
		f := fault.New(fault.CodeInvalidExpiry, "The last day lies before the first one.")
		f.Remedy = "Choose a last day that is the first one or after it."
		f.Fields = []fault.Field{{Pointer: "/valid_until", Code: "too_small", Detail: "Must not be before valid_from, nor 0001-01-01"}}
		return e, f
	}
	return e, nil
}

// tenantOfPath finds the tenant that the path names. Only operations for the role platform may ask for it.
func (s *server) tenantOfPath(r *http.Request) (tenant.Tenant, error) {
	id, err := pathID(r, tenantPrefix, "tenant")
	if err != nil {
		return tenant.Tenant{}, err
	}
	return s.Platform.TenantByPublicID(r.Context(), id)
}

func managedTenant(t *tenant.Tenant) api.ManagedTenant {
	out := api.ManagedTenant{
		ID: tenantPrefix + hexOf(t.PublicID), Name: t.Name, PGPAccount: t.Account, State: api.TenantState(t.State), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
	if most := int64(t.Limits.MaxIntegrations); most > 0 {
		out.Limits.MaxIntegrations = &most
	}
	tag, err := strongTag(t.PublicID, t.Version, out)
	if err != nil {
		panic(err) // only strings, numbers and times of this century are in it
	}
	out.ETag = tag
	return out
}
