package conformance_test

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// Where the double is. Without -base-url the suite starts this repository's own, one for each statement.
var (
	baseURL      = flag.String("base-url", "", "address of the double, login and API in one, e.g. https://127.0.0.1:9400")
	controlURL   = flag.String("control-url", "", "address of its control interface; without one, checks that must arrange something are skipped")
	directoryID  = flag.String("directory", "", "tenant id of a directory with machines, for a double without control interface")
	clientID     = flag.String("client-id", "", "client id of an application with both read permissions there")
	clientSecret = flag.String("client-secret", "", "its secret")
	caFile       = flag.String("ca-file", "", "PEM file with the authority that signed the double's certificate")
)

// double is what is checked: two addresses and nothing more.
type double struct {
	base    string
	control string // "" when it has no control interface
	client  *http.Client
}

// connect reaches the double that the flags name, or one of its own. Those of their own run side by side; a foreign one is
// asked one question after another, because switches and the clock concern all of it.
func connect(t *testing.T) *double {
	t.Helper()
	if *baseURL == "" {
		t.Parallel()
		base, control := startOwn(t)
		return &double{base, control, newClient(t, nil)}
	}
	return &double{strings.TrimRight(*baseURL, "/"), strings.TrimRight(*controlURL, "/"), newClient(t, authorities(t))}
}

func authorities(t *testing.T) *x509.CertPool {
	t.Helper()
	if *caFile == "" {
		return nil
	}
	text, err := os.ReadFile(*caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", *caFile)
	}
	return pool
}

// newClient follows no redirect and unpacks nothing: checks see what was sent.
func newClient(t *testing.T, roots *x509.CertPool) *http.Client {
	transport := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// header is one header of a request. The name Host sets the host the request is for.
type header struct{ name, value string }

// request builds a request to a path of the double, whose blanks and plus signs it escapes, or to a whole address.
func (d *double) request(t *testing.T, method, target, body string, headers ...header) *http.Request {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = d.base + strings.NewReplacer(" ", "%20", "+", "%2B").Replace(target)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if r.Header.Set(h.name, h.value); h.name == "Host" {
			r.Header.Del("Host")
			r.Host = h.value
		}
	}
	return r
}

// do reads the answer to its end. A broken connection is part of the answer, since some checks ask for one.
func (d *double) do(r *http.Request) answer {
	res, err := d.client.Do(r)
	if err != nil {
		return answer{broken: err}
	}
	defer res.Body.Close() //nolint:errcheck // read-only
	body, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: body, broken: err}
}

// get asks the API. An empty token sends none.
func (d *double) get(t *testing.T, token, target string, headers ...header) answer {
	t.Helper()
	if token != "" {
		headers = append(headers, header{"Authorization", "Bearer " + token})
	}
	return d.do(d.request(t, http.MethodGet, target, "", headers...))
}

// form posts a form, as a token request is one.
func (d *double) form(t *testing.T, target string, form url.Values, headers ...header) answer {
	t.Helper()
	headers = append([]header{{"Content-Type", "application/x-www-form-urlencoded"}}, headers...)
	return d.do(d.request(t, http.MethodPost, target, form.Encode(), headers...))
}
