package defendersim_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// microsoft serves the simulator over TLS under Microsoft's own host names and returns a client that finds it there.
func microsoft(t *testing.T, handler http.Handler, names ...string) *http.Client {
	t.Helper()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Microsoft"}, DNSNames: names, NotBefore: root.NotBefore,
		NotAfter: root.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &keys()[0].PublicKey, keys()[0])
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &keys()[1].PublicKey, keys()[0])
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: keys()[1]}}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(pemOf("CERTIFICATE", rootDER)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// national are the clouds as azidentity knows them and as Defender's pages name their API.
var national = map[defendersim.Cloud]struct {
	cloud      cloud.Configuration
	login, api string
	scope      string
}{
	defendersim.CloudCommercial: {cloud.AzurePublic, "login.microsoftonline.com", "api.security.microsoft.com", scope},
	defendersim.CloudGCC: {cloud.AzurePublic, "login.microsoftonline.com", "api-gcc.securitycenter.microsoft.us",
		"https://api-gcc.securitycenter.microsoft.us/.default"},
	defendersim.CloudGCCHigh: {cloud.AzureGovernment, "login.microsoftonline.us", "api-gov.securitycenter.microsoft.us",
		"https://api-gov.securitycenter.microsoft.us/.default"},
	defendersim.CloudDoD: {cloud.AzureGovernment, "login.microsoftonline.us", "api-gov.securitycenter.microsoft.us",
		"https://api-gov.securitycenter.microsoft.us/.default"},
}

// TestAzidentitySignsIn lets Microsoft's own library get tokens the way it does from Microsoft: at the real host names, instance
// discovery included.
func TestAzidentitySignsIn(t *testing.T) {
	const issuer = "https://issuer.example"
	appCertificate := certificate(t, keys()[0])
	for name, n := range national {
		t.Run(string(name), func(t *testing.T) {
			h := start(t, func(cfg *defendersim.Config) {
				cfg.Now, cfg.Directory.Cloud = time.Now, name
				app := &cfg.Directory.Apps[0]
				app.Certificates = []string{pemOf("CERTIFICATE", appCertificate.Raw)}
				app.Federated = []defendersim.FederatedCredential{{Issuer: issuer, Subject: "job", Keys: &jose.JSONWebKeySet{
					Keys: []jose.JSONWebKey{{Key: &keys()[1].PublicKey}}}}}
			})
			client := microsoft(t, h.Handler(), n.login, n.api)
			options := azcore.ClientOptions{Cloud: n.cloud, Transport: client}
			for kind, credential := range map[string]azcore.TokenCredential{
				"1 secret":      secretCredential(t, secret, options),
				"2 certificate": certificateCredential(t, appCertificate, keys()[0], options),
				"2 federated":   foreignCredential(t, issuer, options),
			} {
				h.ClearJournal()
				token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{n.scope}})
				if err != nil {
					t.Errorf("%s: %v", kind, err)
					continue
				}
				if acr := claimsOf(t, token.Token)["appidacr"]; acr != kind[:1] {
					t.Errorf("%s: appidacr %v", kind, acr)
				}
				if until := time.Until(token.ExpiresOn); until < 59*time.Minute || until > time.Hour {
					t.Errorf("%s: expires in %s", kind, until)
				}
				asked := map[string]bool{}
				for _, e := range h.Journal(0) {
					asked[e.Route] = e.Host == n.login && e.Status == 200
				}
				if !asked["openid"] || !asked["token"] || !asked["discovery"] {
					t.Errorf("%s: answered at %s: %v", kind, n.login, asked)
				}
				r := h.request("GET", "https://"+n.api+"/api/machines?$top=1", "")
				r.Header.Set("Authorization", "Bearer "+token.Token)
				if res, err := client.Do(r); err != nil {
					t.Error(err)
				} else if _ = res.Body.Close(); res.StatusCode != 200 {
					t.Errorf("%s: status %d", kind, res.StatusCode)
				}
			}
		})
	}
}

// TestAzidentityIsRefused looks at refusals through the library that most clients use.
func TestAzidentityIsRefused(t *testing.T) {
	h := start(t, func(cfg *defendersim.Config) {
		cfg.Now = time.Now
		cfg.Directory.Apps[0].Certificates = []string{pemOf("CERTIFICATE", certificate(t, keys()[0]).Raw)}
	})
	client := microsoft(t, h.Handler(), "login.microsoftonline.com", "login.microsoftonline.us")
	public := azcore.ClientOptions{Cloud: cloud.AzurePublic, Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}}
	government := public
	government.Cloud = cloud.AzureGovernment
	for name, tt := range map[string]struct {
		credential azcore.TokenCredential
		text       string
	}{
		"wrong secret":        {secretCredential(t, "nope", public), "AADSTS7000215"},
		"unknown certificate": {certificateCredential(t, certificate(t, keys()[1]), keys()[1], public), "AADSTS700027"},
		"wrong cloud":         {secretCredential(t, secret, government), "invalid_tenant"},
	} {
		_, err := tt.credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if failed := (*azidentity.AuthenticationFailedError)(nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func secretCredential(t *testing.T, secret string, options azcore.ClientOptions) azcore.TokenCredential {
	t.Helper()
	c, err := azidentity.NewClientSecretCredential(dirID, clientID, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func certificateCredential(t *testing.T, of *x509.Certificate, key crypto.PrivateKey, options azcore.ClientOptions) azcore.TokenCredential {
	t.Helper()
	c, err := azidentity.NewClientCertificateCredential(dirID, clientID, []*x509.Certificate{of}, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// foreignCredential proves itself with the token of another issuer, as jobs outside Azure do.
func foreignCredential(t *testing.T, issuer string, options azcore.ClientOptions) azcore.TokenCredential {
	t.Helper()
	text := statement{keys()[1], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "job", Audience: jwt.Audience{"api://AzureADTokenExchange"},
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}}.sign(t)
	c, err := azidentity.NewClientAssertionCredential(dirID, clientID, func(context.Context) (string, error) { return text, nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
