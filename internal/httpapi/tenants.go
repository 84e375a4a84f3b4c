package httpapi

import (
	"net/http"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

func (s *server) listTenants(w http.ResponseWriter, r *http.Request) error {
	request, err := s.paging(r, readQuery(r), inventory.Sort{})
	if err != nil {
		return err
	}
	found, end, err := s.Platform.PageTenants(r.Context(), request)
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
	account := orZero(body.PGPAccount)
	if !plainText(account) {
		return invalid(fault.Field{Pointer: "/pgp_account", Code: "invalid_format", Detail: "Must be printable ASCII without spaces"})
	}
	created, err := s.Platform.CreateTenant(r.Context(), body.Name, account)
	if err != nil {
		return err
	}
	return answerCreatedTenant(w, &created)
}

func answerCreatedTenant(w http.ResponseWriter, created *tenant.Tenant) error {
	shown := managedTenant(created)
	w.Header().Set("Location", "/v1/tenants/"+shown.ID)
	return answer(w, http.StatusCreated, shown)
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
	return answer(w, http.StatusOK, managedTenant(&t))
}

func (s *server) updateTenant(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantOfPath(r)
	if err != nil {
		return err
	}
	var body api.TenantPatch
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := s.Platform.SetTenantState(r.Context(), t.ID, tenant.State(body.State)); err != nil {
		return err
	}
	return s.getManagedTenant(w, r)
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
	if err := s.Platform.SetEntitlement(r.Context(), t.ID, e); err != nil {
		return err
	}
	return s.answerEntitlements(w, r, t.ID)
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
	if body.ValidFrom != nil && body.ValidUntil != nil && e.ValidUntil.Before(e.ValidFrom) {
		f := fault.New(fault.CodeInvalidExpiry, "The last day lies before the first one.")
		f.Remedy = "Choose a last day that is the first one or after it."
		f.Fields = []fault.Field{{Pointer: "/valid_until", Code: "too_small", Detail: "Must not be before valid_from"}}
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
	return api.ManagedTenant{
		ID: tenantPrefix + hexOf(t.PublicID), Name: t.Name, PGPAccount: t.Account, State: api.TenantState(t.State), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}
