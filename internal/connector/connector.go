// Package connector holds a tenant's link to a source of inventory, and says what any source must offer.
package connector

import (
	"context"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
)

// Kind names a connector; it is the integration's type on the wire.
type Kind string

// Method is how an application proves itself.
type Method string

// Methods of sign-in.
const (
	MethodSecret      Method = "client_secret" // what the application and its directory both know
	MethodCertificate Method = "certificate"   // a private key, whose certificate the directory has
	MethodFederated   Method = "federated"     // the platform's own identity, which the directory trusts; the customer hands over nothing secret
)

// Proof names what the application shows to prove itself.
func (m Method) Proof() string {
	switch m {
	case MethodCertificate:
		return "certificate"
	case MethodFederated:
		return "platform's token"
	}
	return "client secret"
}

// Renewal says how to come by another one, as the start of a sentence; empty for a federated sign-in, where nothing is kept that
// could be replaced.
func (m Method) Renewal() string {
	switch m {
	case MethodCertificate:
		return "Make a new certificate, upload its public part under Certificates & secrets, Certificates, and rotate it here with its private key"
	case MethodFederated:
		return ""
	}
	return "Create a new client secret under Certificates & secrets and rotate it here"
}

// Credentials are what the customer enters. Ids are canonical lower-case GUIDs once they passed [Connector.Shape], which also
// names the method and fills in what it learns.
type Credentials struct {
	DirectoryID string
	ClientID    string
	Method      Method      // empty means MethodSecret
	Secret      seal.Secret // the client secret; of a certificate, PEM of private key and certificate; empty when federated

	Hint      string    // what may be shown of Secret, to tell it from others; empty takes its last characters
	ExpiresAt time.Time // when Secret expires, as far as it says so itself; zero when it does not
}

// Trust is the identity of the platform that a directory has to trust before federated sign-in works.
type Trust struct {
	Issuer, Subject, Audience string
}

// Probe says which imports a live check has to cover.
type Probe struct {
	Assets          bool
	Vulnerabilities bool
}

// Check is the outcome of one step of a live validation. Code, Title, Detail, Cause, Remedy and Acts are set when it failed.
type Check struct {
	Name     string // shape, token, permissions, machines, vulnerabilities
	OK       bool
	Skipped  bool   // not tried, because an earlier step failed
	Code     string // a code of package fault
	Title    string
	Detail   string
	Cause    string
	Remedy   string
	Acts     fault.Actor
	Access   *fault.Access // where permissions were looked at and both sides are known
	Duration time.Duration

	RetryAfter time.Duration // if waiting helps: what the source asked for, else the usual wait
	Asked      bool          // the source asked for it
}

// FailedCheck tells a fault as the outcome of a step.
func FailedCheck(name string, f *fault.Error, took time.Duration) Check {
	return Check{
		Name: name, Code: f.Code, Title: f.Title(), Detail: f.Detail, Cause: f.CauseText(), Remedy: f.RemedyText(), Acts: f.Actor(),
		Access: f.Access, Duration: took, RetryAfter: f.RetryAfter, Asked: f.Asked,
	}
}

// Usage is what a source has spent upstream since it was opened.
type Usage struct {
	Calls     int64
	Pages     int64
	Resumed   int64 // pages that an interrupted attempt had kept
	Retries   int64
	Throttled time.Duration // time in which at least one call waited because the source asked for it or its budget was used up; a wait under way counts whole
	Malformed int64         // records of the streams that could not be read and were left out
	Files     int64         // files that the streams came in
	Lost      int64         // of these, those that could not be read and were left out
	Bytes     int64         // of response bodies, decompressed

	// WaitsUntil is when the last of the waits counted in Throttled ends, or ended; zero when there was none.
	WaitsUntil time.Time
}

// Via is a way to the whole vulnerability report.
type Via string

// Ways to the report.
const (
	ViaPages   Via = "pages"   // one page after another, all of one snapshot
	ViaFiles   Via = "files"   // files of one snapshot, several at a time: for large directories
	ViaMapping Via = "mapping" // a poorer list for when neither can be had: no times, places or updates, and rows may be missing
)

// Source is an opened link: real credentials, one directory.
//
// The streaming methods hand over batches that are valid only during the call of yield, stop at the first error of
// yield and return it, and return nil only if everything there is was handed over. Their own errors are faults with a
// code from package fault, or the context's error.
type Source interface {
	// Check tries the credentials and the permissions that probe needs, against the live service. It always returns at
	// least one check and never takes longer than the context allows.
	Check(ctx context.Context, probe Probe) []Check
	// Machines streams the device records that reported at or after since; all of them when since is zero.
	Machines(ctx context.Context, since time.Time, yield func([]inventory.Machine) error) error
	// Catalogue streams the vulnerabilities that changed at or after since; all of them when since is zero.
	Catalogue(ctx context.Context, since time.Time, yield func([]inventory.Vulnerability) error) error
	// Rows streams the whole current vulnerability report of the directory, in no particular order, the given way.
	Rows(ctx context.Context, via Via, yield func([]inventory.Row) error) error
	// Changes streams the rows of the report that appeared, changed or vanished at or after since, with what became of them.
	// Some may come twice, and some may have happened before: of each row the newest change counts, and of a row that both
	// vanished and appeared at one time, that it appeared. ErrSnapshotLost is in the chain of the error when the source
	// cannot tell the changes since then any more.
	Changes(ctx context.Context, since time.Time, yield func([]inventory.Row) error) error
	// Exposed streams on how many machines each vulnerability is by the source's own count; those of none may be missing. A source
	// that does not tell them alone is read whole if that is asked for; otherwise ErrNotTold is in the chain of the error.
	Exposed(ctx context.Context, whole bool, yield func([]Exposure) error) error
	// KeepPages makes the streams keep what they read in l, and begin with what is kept there. It comes before any stream.
	KeepPages(l PageLog)
	// Usage may be called at any time, also while a stream runs.
	Usage() Usage
}

// Connector is a kind of source.
type Connector interface {
	// Describe gives the catalogue entry and the connect form.
	Describe() Description
	// Shape checks the form's values without any network. It returns the canonical form of the credentials.
	Shape(Credentials) (Credentials, []fault.Field)
	// Open prepares a source. It makes no network call.
	Open(Credentials) Source
}

// Registry maps kinds to their connectors; it is filled in one place, by the program.
type Registry map[Kind]Connector

// Description is what the catalogue shows about a connector.
type Description struct {
	Kind        Kind
	Name        string
	Category    string
	Description string
	LogoURL     string // empty while PGP has no picture for it
	DocsURL     string
	Surface     string // attack surface its records belong to
	Multiple    bool   // more than one integration per tenant
	Permissions []Permission
	SetupSteps  []string
	Fields      []FormField
	Federation  *Trust // what to trust for MethodFederated; nil when that method is not available
	Capability  Capability
}

// Permission is one that the customer's administrator has to grant.
type Permission struct {
	Name        string // e.g. Machine.Read.All
	Resource    string // e.g. WindowsDefenderATP
	Kind        string // application or delegated
	Description string
	NeededFor   string // the settings that need it, with commas between them
}

// NeededBy tells whether what the settings import needs the permission.
func (p Permission) NeededBy(s inventory.Settings) bool {
	return slices.ContainsFunc(strings.Split(p.NeededFor, ", "), func(setting string) bool {
		return setting == "import_assets" && s.ImportAssets || setting == "import_vulnerabilities" && s.ImportVulnerabilities
	})
}

// FormField is one field of the connect form, in display order.
type FormField struct {
	Name        string // path in the request body, e.g. credentials.client_id
	Label       string
	Input       string // text, textarea, password, checkbox, select
	Required    bool
	Secret      bool
	Default     any
	Placeholder string
	Pattern     string     // ECMA-262 regular expression; empty when anything goes
	Options     []string   // of a select
	When        *Condition // shown, and only then required, when it holds; nil: always
	Help        string
	Recommended bool
	Requires    string // entitlement the field depends on
}

// Condition holds when another field of the form has a certain value.
type Condition struct {
	Field  string // its name
	Equals string
}

// Capability describes the connector in PGP's parameter shape.
type Capability struct {
	Name        string
	Title       string
	Surface     string
	Integration bool
	Parameters  []Parameter
}

// Parameter is one parameter of a capability.
type Parameter struct {
	Name        string
	Description string
	Type        string // string, int, float, bool
	Required    bool
	Default     string
	Options     []string
}
