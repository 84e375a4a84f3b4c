// Package config is what an operator can set: one table makes the environment names, the flags, the help and the page in
// docs, and reads the values with every problem told at once.
package config

import (
	"crypto/x509"
	"log/slog"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/seal"
)

// Config is a checked configuration.
type Config struct {
	DatabaseURL seal.Secret // a PostgreSQL URL or key=value string; holds a password
	Keyring     *seal.Ring  // nil when not set

	KEK            string   // URL of the key service's key that wraps; empty: the keyring
	FormerKEKs     []string // URLs of those that only unwrap
	VaultTokenFile string

	Listen      string
	AdminListen string
	ServeHTTP   bool
	Work        bool
	DrainDelay  time.Duration

	Workers          int
	LargeRows        int
	Lease            time.Duration
	Heartbeat        time.Duration
	Poll             time.Duration
	CatalogueMaxAge  time.Duration
	ReportWholeEvery time.Duration
	ReportWholeRows  int
	ReportFilesRows  int
	RemovalMisses    int
	RemovalOver      time.Duration
	SpoolDir         string
	TenantPartitions int

	Cloud              defender.Cloud
	LoginURL, APIURL   string
	FederatedTokenFile string // empty: federated sign-in is not offered
	UnsafeTestUpstream bool
	UnsafeNoCallLimits bool
	CAFile             string
	RootCAs            *x509.CertPool // the system's with those of CAFile; nil for the system's alone
	RowsPageSize       int

	TokenIssuer, TokenAudience       string // empty: tokens are not accepted
	TokenKeysFile                    string // empty: the issuer tells where its keys are
	TokenAlgorithms                  []string
	TokenSkew, TokenMaxLife          time.Duration
	TokenTenantClaim, TokenRoleClaim string

	HTTPMaxConns, WorkMaxConns int

	Limits                      httpapi.Limits
	ValidationRate, Validations int // a minute, and at once
	TrustedProxies              []string
	MaxConnections              int
	UnsafeDatabaseTLS           bool

	LogLevel slog.Level
	LogJSON  bool

	Profiles bool

	Warnings []string // what is permitted and should be mended; no value is in them
}

// Lookup gives the text of a setting by its environment name; false when it is not set. An empty text counts as not set.
type Lookup func(name string) (string, bool)

// Read checks all settings that are given, and that the required ones are. The error holds one line for each problem; it
// names settings and never shows a value. Names in environ that look like settings and are none are problems too.
func Read(lookup Lookup, environ []string, required ...string) (Config, error) {
	r := reader{lookup: lookup, required: required}
	r.problems.unknown(environ)
	for _, s := range Settings() {
		r.read(s)
	}
	r.together()
	return r.config, r.problems.err()
}
