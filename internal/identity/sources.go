package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxDocument bounds what is read of an issuer's documents.
const maxDocument = 1 << 20

// FromFile reads keys from a JWKS document in a file, again when it may have changed.
func FromFile(name string, now func() time.Time, log *slog.Logger) *KeySet {
	return newKeySet(now, log, func(context.Context) (set []jose.JSONWebKey, err error) {
		f, err := os.Open(name)
		if err != nil {
			return set, err
		}
		defer func() { _ = f.Close() }()
		return decodeSet(f)
	})
}

// FromIssuer reads keys from where the issuer's OpenID Connect discovery document says they are. Both documents have to come
// from https, and the first has to name the issuer it was asked of; see OpenID Connect Discovery 1.0, section 4.3. The client follows
// no redirects.
func FromIssuer(issuer string, client *http.Client, now func() time.Time, log *slog.Logger) *KeySet {
	plain := *client
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return newKeySet(now, log, func(ctx context.Context) (set []jose.JSONWebKey, err error) {
		var found struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		err = get(ctx, &plain, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", func(r io.Reader) error {
			return json.NewDecoder(r).Decode(&found)
		})
		if err != nil {
			return set, err
		}
		if found.Issuer != issuer {
			return set, errors.New("the discovery document is of another issuer")
		}
		if u, err := url.Parse(found.JWKSURI); err != nil || u.Scheme != "https" && !strings.HasPrefix(issuer, "http://") {
			return set, errors.New("the discovery document names no https address of keys")
		}
		err = get(ctx, &plain, found.JWKSURI, func(r io.Reader) (err error) {
			set, err = decodeSet(r)
			return err
		})
		return set, err
	})
}

func get(ctx context.Context, client *http.Client, address string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", req.URL.Host, resp.StatusCode)
	}
	return read(io.LimitReader(resp.Body, maxDocument))
}

func decodeSet(r io.Reader) ([]jose.JSONWebKey, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDocument))
	if err != nil {
		return nil, err
	}
	return ReadKeys(text)
}
