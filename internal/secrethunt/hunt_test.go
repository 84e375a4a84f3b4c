package secrethunt

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// verdict collects what would fail a test.
type verdict struct{ leaks []string }

func (*verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) {
	v.leaks = append(v.leaks, fmt.Sprintf(format, args...))
}

const apiKey, anotherKey = "pgpd_hT5vB2nG7xR4jM9cP1wZ6dF3qLsUeAbCdY8kN0iWoQr", "pgpd_Y7mC4tX1kN8pS5zA2wD9bH6gV3rJqLoEuF0iKaTsPdM"

// TestAnswersAreHunted lets a careless handler leak in each way, and a good one show a new key once.
func TestAnswersAreHunted(t *testing.T) {
	t.Parallel()
	secret := `{"client_secret":"` + canary[:12] + canary[15:] + `"}`
	once := `{"id":"1","secret":"` + anotherKey + `"}`
	long := strings.Repeat("nothing to be seen here, ", 100)
	for name, c := range map[string]struct {
		path, sent string
		answer     func(w http.ResponseWriter)
		leaks      int
	}{
		"nothing":                {"/v1/x", secret, func(w http.ResponseWriter) { _, _ = io.WriteString(w, long) }, 0},
		"a secret in a header":   {"/v1/x", secret, func(w http.ResponseWriter) { w.Header().Set("X-Seen", hex.EncodeToString([]byte(canary[:12]))) }, 1},
		"the caller's key":       {"/v1/x", "{}", func(w http.ResponseWriter) { _, _ = io.WriteString(w, long+apiKey[20:30]) }, 1},
		"a new key, shown once":  {"/v1/api-keys", "{}", func(w http.ResponseWriter) { w.WriteHeader(201); _, _ = io.WriteString(w, once) }, 0},
		"a new key, shown twice": {"/v1/api-keys", "{}", func(w http.ResponseWriter) { w.WriteHeader(201); _, _ = io.WriteString(w, once+once) }, 1},
		"a new key, in a header": {"/v1/api-keys", "{}", func(w http.ResponseWriter) {
			w.Header().Set("Location", anotherKey)
			w.WriteHeader(201)
			_, _ = io.WriteString(w, once)
		}, 1},
		"a key that has been old": {"/v1/api-keys/1", "{}", func(w http.ResponseWriter) { _, _ = io.WriteString(w, apiKey) }, 1},
		"broken off":              {"/v1/x", "{}", func(w http.ResponseWriter) { _, _ = io.WriteString(w, apiKey); panic(http.ErrAbortHandler) }, 1},
	} {
		hunt := New()
		server := httptest.NewServer(hunt.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			c.answer(w)
		})))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+c.path, strings.NewReader(c.sent))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+apiKey)
		if resp, err := server.Client().Do(req); err == nil {
			_ = resp.Body.Close()
		}
		server.Close()
		var v verdict
		hunt.Report(&v)
		if len(v.leaks) != c.leaks {
			t.Errorf("%s: %d leaks, want %d: %q", name, len(v.leaks), c.leaks, v.leaks)
		}
	}
}

// TestEveryKindIsHunted looks for secrets of each kind as they might be logged, and for what of them may be told.
func TestEveryKindIsHunted(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	logged, err := json.Marshal(certificate)
	if err != nil {
		t.Fatal(err)
	}
	hunt := New()
	hunt.Certificate(certificate)
	hunt.Bearer("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3VlciJ9.Zk3Lr8Qw1Ty6Ui9Op4As7Df2Gh5Jk0")
	hunt.Keyring("# the first\n20261101-abc:" + "q83vEjRWeJq83v7c6ohm1Q8nXz2LkTf5YbRwPsGdM0A=")
	hunt.ClientSecret("3f2504e0-4f89-41d3-9a0c-0305e82c3301")
	for text, want := range map[string]int{
		string(logged): 2, fmt.Sprintf("%x", der[200:230]): 1, "sig=Ty6Ui9Op4A": 1, "keyring 4e12345678": 0, "dM0A q83vEjRWeJ": 1, fmt.Sprint([]byte("\xab\xcd\xef\x12\x34\x56\x78\x9a")): 1,
		"-----BEGIN PRIVATE KEY-----": 0, "eyJhbGciOiJSUzI1NiJ9": 0, "3f2504e0-4f89-41d3-9a0c-0305e82c3301": 0,
	} {
		var v verdict
		hunt.Check(&v, "log", text)
		if len(v.leaks) != want {
			t.Errorf("%.60s: %q, want %d", text, v.leaks, want)
		}
	}
}
