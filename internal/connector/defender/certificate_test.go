package defender

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/seal"
)

// testKeys are made once: they are slow.
var testKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var made [2]*rsa.PrivateKey
	for i := range made {
		made[i], _ = rsa.GenerateKey(rand.Reader, 2048) // never fails with this size
	}
	return made
})

func testCertificate(t testing.TB, key *rsa.PrivateKey, from, until time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "application"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func TestACertificateIsReadOrExplained(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key, other := testKeys()[0], testKeys()[1]
	until := now.AddDate(1, 0, 0).Truncate(time.Second).UTC()
	good := testCertificate(t, key, now.Add(-time.Hour), until)
	cert := block("CERTIFICATE", good.Raw)
	foreign := block("CERTIFICATE", testCertificate(t, other, now.Add(-time.Hour), until).Raw)
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that it is refused is what is tested
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")}))
	c := mustNew(t, Config{})
	for name, tc := range map[string]struct{ text, code string }{
		"PKCS#8":                    {pkcs8(t, key) + cert, ""},
		"PKCS#1, chain, other text": {"Bag Attributes\n" + foreign + cert + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), ""},
		"line ends of Windows":      {strings.ReplaceAll(pkcs8(t, key)+cert, "\n", "\r\n"), ""},
		"nothing":                   {"", "required"},
		"blanks":                    {" \n\u00a0\ufeff", "invalid_format"}, // the contract takes them for a text
		"blanks around it":          {"\ufeff \n" + pkcs8(t, key) + cert + "\u00a0\n", ""},
		"no PEM":                    {"MIIKmwIBAzCC", "invalid_format"},
		"key alone":                 {pkcs8(t, key), "no_certificate"},
		"certificate alone":         {cert, "no_private_key"},
		"of another key":            {pkcs8(t, key) + foreign, "key_mismatch"},
		"two keys":                  {pkcs8(t, key) + pkcs8(t, other) + cert, "two_keys"},
		"encrypted PKCS#8":          {block("ENCRYPTED PRIVATE KEY", []byte("x")) + cert, "encrypted"},
		"encrypted PKCS#1":          {locked + cert, "encrypted"},
		"curve":                     {pkcs8(t, curve) + cert, "not_rsa"},
		"curve in its own form":     {block("EC PRIVATE KEY", []byte("x")) + cert, "not_rsa"},
		"short key":                 {pkcs8(t, small) + cert, "too_short"},
		"damaged key":               {block("PRIVATE KEY", []byte("x")) + cert, "invalid_format"},
		"damaged certificate":       {pkcs8(t, key) + block("CERTIFICATE", []byte("x")), "invalid_format"},
		"expired":                   {pkcs8(t, key) + block("CERTIFICATE", testCertificate(t, key, now.AddDate(-1, 0, 0), now.Add(-time.Minute)).Raw), "expired"},
		"of tomorrow":               {pkcs8(t, key) + block("CERTIFICATE", testCertificate(t, key, now.Add(24*time.Hour), until).Raw), "not_yet_valid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, fields := c.Shape(connector.Credentials{DirectoryID: testDirectory, ClientID: testClient, Method: connector.MethodCertificate, Secret: seal.NewSecret(tc.text)})
			if tc.code != "" {
				if len(fields) != 1 || fields[0].Pointer != pointerCertificate || fields[0].Code != tc.code || fields[0].Detail == "" {
					t.Fatalf("%+v, want %s", fields, tc.code)
				}
				return
			}
			sum := sha1.Sum(good.Raw)
			thumbprint := strings.ToUpper(hex.EncodeToString(sum[:]))
			if len(fields) > 0 || out.Secret.Reveal() != pkcs8(t, key)+cert || !out.ExpiresAt.Equal(until) || "…"+thumbprint[34:] != out.Hint {
				t.Errorf("%+v %q %v", fields, out.Hint, out.ExpiresAt)
			}
		})
	}
}
