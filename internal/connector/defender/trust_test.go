package defender

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestRootCAsAreTrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	own := x509.NewCertPool()
	own.AddCert(server.Certificate())
	for name, tt := range map[string]struct {
		roots *x509.CertPool
		ok    bool
	}{"its own authority": {own, true}, "the system's": {nil, false}, "none": {x509.NewCertPool(), false}} {
		client := newClient(Config{RootCAs: tt.roots, AllowInsecure: true})
		resp, err := client.Get(server.URL) //nolint:noctx // a test's own server
		if (err == nil) != tt.ok {
			t.Errorf("with %s: %v", name, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}
