package defender

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzFollow takes any text for a next link. What is followed leads to a configured host and the path that was asked for.
func FuzzFollow(f *testing.F) {
	s := mustNew(f, Config{}).Open(testCredentials()).(*source)
	first := s.conn.api + pathMachines
	for _, link := range []string{
		first + "?$skip=1", "?$skip=1", "//evil.example" + pathMachines + "?a", "https://evil@api.security.microsoft.com/api/machines?a", "https://api.security.microsoft.com@evil.example/api/machines?a",
		first + "/../x?a", first + "%2f..?a", "https://API.security.microsoft.com:443/api/Machines?$skip=1", "https://api.security.microsoft.com:443:80/api/machines?a", "\\\\evil?a", "https:api/machines?a", first + "?a#b",
	} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		got, err := s.follow(first, link)
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" || !strings.EqualFold(u.Path, pathMachines) {
			t.Fatalf("%q leads to %q: %v", link, got, err)
		}
		if r, err := http.NewRequest(http.MethodGet, got, nil); err != nil || !s.conn.hosts[r.Host] || r.URL.Port() != "" {
			t.Errorf("%q leads to %q: %v", link, got, err)
		}
	})
}

// FuzzRetryAfter takes any text for the header. The time is one that somebody can wait for.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{"", "0", "-1", "30", "1e3", "99999999999999999999", "9223372036854775807", "Sat, 28 Nov 2026 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Saturday, 28-Nov-26 12:00:30 GMT", " 5 "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d := retryAfter(http.Header{"Retry-After": {text}}, now); d < 0 || d > 24*time.Hour {
			t.Errorf("%q is %v", text, d)
		}
	})
}

// FuzzKeyPair takes any text for a private key with its certificate. What is accepted is kept as the same pair.
func FuzzKeyPair(f *testing.F) {
	key := testKeys()[0]
	pair := keyPair{key, testCertificate(f, key, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))}
	whole, err := pair.text()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"", whole, whole + whole, "x" + whole, whole[:len(whole)/2], strings.ReplaceAll(whole, "PRIVATE KEY", "RSA PRIVATE KEY"), "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readKeyPair(text)
		if err != nil {
			if wrong := (*pemError)(nil); !errors.As(err, &wrong) || wrong.detail == "" {
				t.Errorf("refused without an explanation: %v", err)
			}
			return
		}
		kept, err := got.text()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := readKeyPair(kept); err != nil || !again.key.Equal(got.key) || !again.certificate.Equal(got.certificate) {
			t.Errorf("another pair was kept: %v", err)
		}
	})
}
