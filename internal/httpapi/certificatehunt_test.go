package httpapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
)

// newCertificate is a private key with its certificate, as they are entered.
func newCertificate(t *testing.T) api.Secret {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "application"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return api.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})) + api.Secret(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}))
}

// TestPrivateKeysComeOutNowhere takes certificates through every way in; the hunt at its end looks for their keys.
func TestPrivateKeysComeOutNowhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, method := h.admin(), new(api.SignInCertificate)
	f := form(uuid.New())
	f.Credentials.Method, f.Credentials.ClientSecret, f.Credentials.Certificate = method, "", newCertificate(t)
	_, err := c.PreviewIntegration(t.Context(), f)
	must(t, err)
	i, err := c.ConnectIntegration(t.Context(), f)
	must(t, err)
	for _, stage := range []bool{false, true} {
		must(t, second(c.RotateIntegrationSecret(t.Context(), i.ID, api.RotateSecretRequest{Method: method, Certificate: newCertificate(t), Stage: &stage})))
	}
	i, err = c.GetIntegration(t.Context(), i.ID)
	must(t, err)
	if i.Credentials.Method != api.SignInCertificate || i.Credentials.Staged == nil {
		t.Errorf("%+v", i.Credentials)
	}
}
