package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"pgp.internal/defender/internal/kms"
)

// reader reads the table from top to bottom.
type reader struct {
	lookup   Lookup
	required []string
	config   Config
	problems problems
}

type problems []string

func (p *problems) add(name, format string, args ...any) {
	*p = append(*p, name+": "+fmt.Sprintf(format, args...))
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return errors.New("the configuration has " + count(len(p)) + ":\n  " + strings.Join(p, "\n  "))
}

func count(n int) string {
	if n == 1 {
		return "a problem"
	}
	return fmt.Sprintf("%d problems", n)
}

func (r *reader) read(s Setting) {
	text, given := r.text(s)
	if !given {
		if slices.Contains(r.required, s.Name) {
			r.problems.add(s.Env(), "%s", s.missing())
		}
		text = s.Default
	}
	if text == "" { // nothing to judge: not given and without default, or its problem is told already
		return
	}
	if err := s.parse(&r.config, text); err != nil {
		r.problems.add(s.Env(), "%v", err)
	}
}

func (s Setting) missing() string {
	if s.Secret {
		return "is not set, nor is " + s.FileEnv()
	}
	return "is not set"
}

// text finds what is set, in the variable or in the file it names. A file that cannot be read counts as given: its problem
// is told already.
func (r *reader) text(s Setting) (string, bool) {
	text, given := r.given(s.Env())
	if !s.Secret {
		return text, given
	}
	name, inFile := r.given(s.FileEnv())
	switch {
	case given && inFile:
		r.problems.add(s.Env(), "is set, and %s too; set one of them", s.FileEnv())
		return "", true
	case !inFile:
		return text, given
	}
	body, err := os.ReadFile(name)
	if err != nil {
		r.problems.add(s.FileEnv(), "the file cannot be read: %v", reason(err))
		return "", true
	}
	if text = strings.TrimSpace(string(body)); text == "" {
		r.problems.add(s.FileEnv(), "the file is empty")
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&readableByAll != 0 {
		r.config.Warnings = append(r.config.Warnings, s.FileEnv()+": the file can be read by every account of this machine; take that away with chmod o-r")
	}
	return text, true
}

const readableByAll = 0o004

func (r *reader) given(name string) (string, bool) {
	text, ok := r.lookup(name)
	return text, ok && text != ""
}

// reason drops the path from an error about a file, since it is a value of a setting.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// together checks what only makes sense in combination.
func (r *reader) together() {
	c := &r.config
	if c.Lease > 0 && c.Heartbeat > 0 && c.Heartbeat*3 > c.Lease {
		r.problems.add(envOf("HEARTBEAT"), "must be at most a third of %s, or one late heartbeat loses the lease", envOf("LEASE"))
	}
	if least := 2*c.Workers + 2; c.Workers > 0 && c.WorkMaxConns > 0 && c.WorkMaxConns < least {
		r.problems.add(envOf("WORK_MAX_CONNS"), "must be at least %d for this many %s: twice as many and two", least, envOf("WORKERS"))
	}
	if c.ServeHTTP && sameSocket(c.Listen, c.AdminListen) {
		r.problems.add(envOf("ADMIN_LISTEN"), "must not be the address of %s", envOf("LISTEN"))
	}
	if !c.DatabaseURL.IsZero() {
		if err := checkDatabaseTLS(c.DatabaseURL.Reveal(), c.UnsafeDatabaseTLS); err != nil {
			r.problems.add(envOf("DATABASE_URL"), "%v", err)
		}
	}
	if c.VaultTokenFile == "" && slices.ContainsFunc(append(c.FormerKEKs, c.KEK), kms.NeedsVaultToken) {
		r.problems.add(envOf("VAULT_TOKEN_FILE"), "is not set, and a key of Vault needs it")
	}
	if c.UnsafeNoCallLimits && !c.UnsafeTestUpstream {
		r.problems.add(envOf("UNSAFE_NO_CALL_LIMITS"), "is for a simulator only; it needs %s=true", envOf("UNSAFE_TEST_UPSTREAM"))
	}
	if c.TokenIssuer == "" {
		for name, given := range map[string]string{"TOKEN_AUDIENCE": c.TokenAudience, "TOKEN_KEYS_FILE": c.TokenKeysFile} {
			if given != "" {
				r.problems.add(envOf(name), "does nothing without %s", envOf("TOKEN_ISSUER"))
			}
		}
	} else if c.TokenAudience == "" {
		r.problems.add(envOf("TOKEN_AUDIENCE"), "must be set with %s: a token for another service is none for this one", envOf("TOKEN_ISSUER"))
	}
	if !c.UnsafeTestUpstream {
		for _, u := range []struct{ name, url string }{{"LOGIN_URL", c.LoginURL}, {"API_URL", c.APIURL}, {"TOKEN_ISSUER", c.TokenIssuer}} {
			if strings.HasPrefix(u.url, "http:") {
				r.problems.add(envOf(u.name), "must be https; %s=true permits http to a simulator", envOf("UNSAFE_TEST_UPSTREAM"))
			}
		}
	}
}

// sameSocket tells whether two checked addresses cannot both be listened on.
func sameSocket(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everyAddress(hostA) || everyAddress(hostB)
}

func everyAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// Unknown names variables of the environment that look like settings and are none, each with the nearest setting.
func Unknown(environ []string) error {
	var p problems
	p.unknown(environ)
	return p.err()
}

func (p *problems) unknown(environ []string) {
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) || slices.Contains(envNames(), name) {
			continue
		}
		hint := `see "defenderd help config"`
		if similar := Similar(name, envNames()); similar != "" {
			hint = "did you mean " + similar + "?"
		}
		p.add(name, "there is no such setting; %s", hint)
	}
}

func envNames() []string {
	var names []string
	for _, s := range Settings() {
		names = append(names, s.Env())
		if s.Secret {
			names = append(names, s.FileEnv())
		}
	}
	return names
}

// Similar is the name with the fewest letters to change, or empty if those are too many for a slip.
func Similar(name string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	best := slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, best) > max(2, len(strings.TrimPrefix(name, Prefix))/3) {
		return ""
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
