package defendersim

import (
	"net/http"
	"strings"
)

const emptyGUID = "00000000-0000-0000-0000-000000000000"

// resolveTenant finds the directory a path names, in the clouds that the host asked belongs to.
func (s *Simulator) resolveTenant(tenant string, at site) (*directory, *entraError) {
	switch strings.ToLower(tenant) {
	case "common", "organizations":
		return nil, refuse(50059)
	case "consumers":
		return nil, refuse(9001023)
	case emptyGUID:
		return nil, refuse(900021, "{tenant}", tenant)
	}
	if !guidForm.MatchString(tenant) && !domainForm.MatchString(tenant) {
		return nil, refuse(900023, "{tenant}", tenant)
	}
	if d, ok := s.directory(tenant); ok && at.serves(d.settings().Cloud) {
		return d, nil
	}
	return nil, refuse(90002, "{tenant}", tenant)
}

// withoutTenant makes the refusal of /common more precise when the application is known to be of a single directory.
func (s *Simulator) withoutTenant(q *entraRequest, refusal *entraError) *entraError {
	if refusal.Codes[0] != 50059 {
		return refusal
	}
	for _, id := range s.Directories() {
		d, ok := s.directory(id)
		if !ok {
			continue
		}
		if a, ok := d.app(q.clientID); ok && a.SingleTenant {
			return refuse(50194, "{app}", a.ClientID)
		}
	}
	return refusal
}

func (s *Simulator) serveOpenID(w http.ResponseWriter, r *http.Request, tenant string) {
	base, id := baseURL(r), strings.ToLower(tenant)
	realm := realms[CloudCommercial]
	if at := siteOf(r); at.clouds != nil {
		realm = realms[at.clouds[0]]
	}
	if id != "common" && id != "organizations" { // whose configuration needs no directory
		d, refusal := s.resolveTenant(tenant, siteOf(r))
		if refusal != nil {
			if refusal.Codes[0] == 90002 {
				refusal.Word = "invalid_tenant"
			}
			refusal.write(w, r, s.now())
			return
		}
		id, realm = d.settings().ID, realms[d.settings().Cloud]
	}
	body := map[string]any{
		"token_endpoint":                        base + "/" + id + "/oauth2/v2.0/token",
		"authorization_endpoint":                base + "/" + id + "/oauth2/v2.0/authorize",
		"jwks_uri":                              base + "/" + id + "/discovery/v2.0/keys",
		"issuer":                                base + "/" + id + "/v2.0",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"subject_types_supported":               []string{"pairwise"},
		"tenant_region_scope":                   realm.region,
		"cloud_instance_name":                   strings.TrimPrefix(realm.login[0], "login."),
	}
	if realm.subRegion != "" {
		body["tenant_region_sub_scope"] = realm.subRegion
	}
	writeEntra(w, http.StatusOK, NewGUID(), body)
}

// serveDiscovery names the hosts that are one: Microsoft's where the simulator is asked under such a name, else its own.
func (s *Simulator) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	metadata := []any{authority([]string{r.Host})}
	if at := siteOf(r); !at.api {
		metadata = []any{authority(loginHosts), authority(loginHostsUS)}
	}
	writeEntra(w, http.StatusOK, NewGUID(), map[string]any{
		"tenant_discovery_endpoint": baseURL(r) + "/common/v2.0/.well-known/openid-configuration", "api-version": "1.1", "metadata": metadata,
	})
}

func authority(aliases []string) map[string]any {
	return map[string]any{"preferred_network": aliases[0], "preferred_cache": aliases[min(1, len(aliases)-1)], "aliases": aliases}
}
