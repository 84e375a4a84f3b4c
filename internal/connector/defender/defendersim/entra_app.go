package defendersim

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// App is an application registration as the directory sees it. It proves itself with its secret, one of its certificates or a token
// of an issuer it trusts; it needs at least one of them.
type App struct {
	ClientID        string                `json:"client_id"` // GUID
	Secret          string                `json:"secret,omitempty"`
	SecretID        string                `json:"secret_id,omitempty"` // GUID people paste by mistake
	SecretExpiresAt time.Time             `json:"secret_expires_at,omitzero"`
	Certificates    []string              `json:"certificates,omitempty"` // PEM, with an RSA key
	Federated       []FederatedCredential `json:"federated,omitempty"`
	Roles           []string              `json:"roles"` // granted with admin consent

	SingleTenant             bool `json:"single_tenant,omitempty"`              // at /common the refusal is 50194
	NoServicePrincipal       bool `json:"no_service_principal,omitempty"`       // 7000229
	Disabled                 bool `json:"disabled,omitempty"`                   // 7000112
	ConditionalAccessBlocked bool `json:"conditional_access_blocked,omitempty"` // 53003
	Throttled                bool `json:"throttled,omitempty"`                  // 429 with Retry-After: 60
	RefuseWith               int  `json:"refuse_with,omitempty"`                // any of RefusalCodes, whatever the request holds

	certificates []*x509.Certificate // Certificates, read
}

func (a App) complete() (App, error) {
	switch {
	case !guidForm.MatchString(a.ClientID):
		return a, fmt.Errorf("client id %q is not a GUID", a.ClientID)
	case a.Secret == "" && len(a.Certificates) == 0 && len(a.Federated) == 0:
		return a, fmt.Errorf("application %s has no secret, certificate or federated credential", a.ClientID)
	case a.SecretID != "" && !guidForm.MatchString(a.SecretID):
		return a, fmt.Errorf("secret id of application %s is not a GUID", a.ClientID)
	}
	if _, ok := refusals[a.RefuseWith]; a.RefuseWith != 0 && !ok {
		return a, fmt.Errorf("refuse_with %d of application %s is not one of %v", a.RefuseWith, a.ClientID, RefusalCodes())
	}
	a.certificates = nil
	for _, text := range a.Certificates {
		c, err := readCertificate(text)
		if err != nil {
			return a, fmt.Errorf("certificate of application %s: %w", a.ClientID, err)
		}
		a.certificates = append(a.certificates, c)
	}
	a.Federated = slices.Clone(a.Federated)
	for i, f := range a.Federated {
		f, err := f.complete()
		if err != nil {
			return a, fmt.Errorf("federated credential %d of application %s: %w", i, a.ClientID, err)
		}
		a.Federated[i] = f
	}
	return a, nil
}
