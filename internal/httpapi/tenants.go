package httpapi

import (
	"net/http"

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
	shown := managedTenant(&created)
	w.Header().Set("Location", "/v1/tenants/"+shown.ID)
	return answer(w, http.StatusCreated, shown)
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
