// Package kms lets a key service wrap data keys: HashiCorp Vault's transit engine, or AWS KMS.
package kms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	vault "github.com/hashicorp/vault/api"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
)

// Limits of a call to a key service.
const (
	connectWithin = 3 * time.Second
	callWithin    = 5 * time.Second
	retryAfter    = 30 * time.Second // what callers are told to wait while it is away
)

// Operation is what a key service was asked for.
type Operation string

// Operations.
const (
	OperationWrap   Operation = "wrap"
	OperationUnwrap Operation = "unwrap"
)

// Outcome is how a call to a key service ended.
type Outcome string

// Outcomes.
const (
	OutcomeOK         Outcome = "ok"
	OutcomeFailed     Outcome = "failed"     // not reached, sealed, or not permitted
	OutcomeUnreadable Outcome = "unreadable" // it answered that what it should unwrap is not its own, or damaged
)

// Observer hears of each call. It must be safe for concurrent use.
type Observer interface {
	KeyServiceCall(operation Operation, outcome Outcome, took time.Duration)
}

// Options are what a service of keys needs besides its URL.
type Options struct {
	RootCAs        *x509.CertPool // nil for the system's
	VaultTokenFile string         // read anew for each call, since agents renew tokens in place; needed for hashivault
	Observer       Observer
}

// Check tells what is wrong with the URL of a key, without any network. Its errors do not show the URL.
func Check(text string) error {
	_, err := parse(text)
	return err
}

// NeedsVaultToken tells whether the key that the URL names is of Vault.
func NeedsVaultToken(text string) bool { return strings.HasPrefix(text, schemeVault+":") }

// Open prepares the key that the URL names; it makes no network call. The forms are
//
//	hashivault://KEY?address=https://vault.example.com:8200&mount=transit&namespace=NAMESPACE
//	awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID?endpoint=https://vpce.example.com
//
// where mount, namespace and endpoint may be left out.
func Open(ctx context.Context, text string, o Options) (envelope.KEK, error) {
	p, err := parse(text)
	if err != nil {
		return nil, err
	}
	if p.scheme == schemeVault {
		return newVault(p, o)
	}
	return newAWS(ctx, p, o)
}

// limit sets what a connection may take, and whom it trusts.
func limit(roots *x509.CertPool) func(*http.Transport) {
	return func(t *http.Transport) {
		t.DialContext = (&net.Dialer{Timeout: connectWithin}).DialContext
		t.TLSHandshakeTimeout = connectWithin
		if roots != nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
		}
	}
}

const (
	schemeVault = "hashivault"
	schemeAWS   = "awskms"
)

// address is a parsed URL of a key.
type address struct {
	scheme    string
	key       string // Vault: the name; AWS: the ARN
	endpoint  string // Vault: required
	mount     string
	namespace string
	region    string
}

var errForm = errors.New("must be keyring, hashivault://KEY?address=https://HOST:8200 or awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID")

func parse(text string) (a address, err error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" {
		return a, errForm
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, errForm
	}
	take := func(name, or string) string {
		value := query.Get(name)
		query.Del(name)
		if value == "" {
			return or
		}
		return value
	}
	a.scheme, a.key = u.Scheme, strings.TrimPrefix(u.Host+u.Path, "/")
	switch a.scheme {
	case schemeVault:
		a.endpoint, a.mount, a.namespace = take("address", ""), take("mount", "transit"), take("namespace", "")
		if a.key == "" || strings.Contains(a.key, "/") || a.endpoint == "" {
			return a, errForm
		}
	case schemeAWS:
		parts := strings.Split(a.key, ":")
		if len(parts) != 6 || parts[0] != "arn" || parts[2] != "kms" || parts[3] == "" || !strings.HasPrefix(parts[5], "key/") {
			return a, errForm
		}
		a.region, a.endpoint = parts[3], take("endpoint", "")
	default:
		return a, errForm
	}
	if len(query) > 0 {
		return a, errors.New("has a parameter that its scheme does not know")
	}
	return a, checkEndpoint(a.endpoint)
}

// checkEndpoint permits http only to this machine, where an agent of the key service may listen.
func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the address of the key service must be an https URL")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return errors.New("the address of the key service must be https, unless it is this machine's own")
	}
	return nil
}

// unavailable says that the key service could not be asked. Why goes to the log only, without the address.
func unavailable(err error) error {
	f := fault.Wrap(fmt.Errorf("key service: %w", reason(err)), fault.CodeKeysUnavailable, "")
	f.RetryAfter = retryAfter
	return f
}

// reason drops what an error tells about the request, and keeps what the service or the network said.
func reason(err error) error {
	var answer *vault.ResponseError
	var refusal smithy.APIError
	var request *url.Error
	switch {
	case errors.As(err, &answer):
		return fmt.Errorf("status %d: %s", answer.StatusCode, strings.Join(answer.Errors, "; "))
	case errors.As(err, &refusal):
		return errors.New(refusal.ErrorCode())
	case errors.As(err, &request):
		return request.Err
	}
	return err
}
