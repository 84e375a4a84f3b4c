package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MinMajor is the oldest PostgreSQL release the service supports.
const MinMajor = 15

// ErrNoServer means that no PostgreSQL was given and none was found on the machine.
var ErrNoServer = errors.New("no PostgreSQL was found")

// binaries is one installation of PostgreSQL's server programs.
type binaries struct {
	dir   string
	major int
}

func (b binaries) program(name string) string { return filepath.Join(b.dir, name) }

// machine is what is looked at on a computer. Tests point it elsewhere.
type machine struct {
	path     string   // like $PATH
	patterns []string // directories with server programs, outside $PATH
	stateDir string   // for data that cannot be where the caller wants it
	tempDirs []string // for temporary data, first usable one wins
}

func thisMachine() machine {
	return machine{
		path:     os.Getenv("PATH"),
		patterns: append(installedPatterns(), fetchedPatterns()...),
		stateDir: "/var/lib/pgp-defender",
		tempDirs: temporary(),
	}
}

func installedPatterns() []string {
	return []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // packages of the PostgreSQL project for Red Hat and its relatives
		"/usr/libexec/postgresql*",  // Alpine
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	}
}

// fetchedPatterns are the places where scripts/setup-postgres.sh leaves what it fetched: in the source tree, or, when
// root's source tree is closed to the account of the server, in the system's cache.
func fetchedPatterns() []string {
	patterns := []string{"/var/cache/pgp-defender/postgres/*/native/bin"}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return append([]string{filepath.Join(dir, ".local/postgres/*/native/bin")}, patterns...)
		}
		dir = filepath.Dir(dir)
	}
	return patterns
}

// find returns the server programs to use: $PATH first, then the other places, each newest first. A positive major
// asks for that release only, because data of one release cannot be read by another.
func (m machine) find(ctx context.Context, run account, major int) (binaries, error) {
	var rejected []string
	for _, dir := range m.candidates() {
		found, err := inspect(ctx, run, dir)
		switch {
		case err != nil:
			rejected = append(rejected, fmt.Sprintf("%s (%v)", dir, err))
		case found.major < MinMajor:
			rejected = append(rejected, fmt.Sprintf("%s (release %d, at least %d is needed)", dir, found.major, MinMajor))
		case major > 0 && found.major != major:
			rejected = append(rejected, fmt.Sprintf("%s (release %d, the data is of release %d)", dir, found.major, major))
		default:
			return found, nil
		}
	}
	return binaries{}, noServer(rejected, major)
}

// candidates lists directories that hold a server, without repeats.
func (m machine) candidates() []string {
	groups := [][]string{filepath.SplitList(m.path)}
	for _, pattern := range m.patterns {
		matches, _ := filepath.Glob(pattern) // fails only for a malformed pattern
		slices.SortFunc(matches, func(a, b string) int { return cmp.Compare(versionIn(b), versionIn(a)) })
		groups = append(groups, matches)
	}
	seen := map[string]bool{}
	var dirs []string
	for _, dir := range slices.Concat(groups...) {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || !filepath.IsAbs(dir) || seen[real] {
			continue
		}
		seen[real] = true
		dirs = append(dirs, filepath.Dir(real))
	}
	return dirs
}

// versionIn reads the last number in a path, so that 15 sorts after 9.6 and before 18.
func versionIn(path string) float64 {
	const digits = "0123456789"
	path = path[:strings.LastIndexAny(path, digits)+1]
	start := strings.LastIndexFunc(path, func(r rune) bool { return !strings.ContainsRune(digits+".", r) }) + 1
	version, _ := strconv.ParseFloat(path[start:], 64) // 0 without a number
	return version
}

// inspect runs the programs once as the server's account: they may be damaged, for another processor, or out of reach.
func inspect(ctx context.Context, run account, dir string) (binaries, error) {
	found := binaries{dir: dir}
	for _, name := range []string{"initdb", "postgres"} {
		out, err := run.command(ctx, found.program(name), "--version").Output()
		if err != nil {
			return binaries{}, fmt.Errorf("%s does not run: %w", name, explain(err))
		}
		if found.major, err = majorVersion(string(out)); err != nil {
			return binaries{}, err
		}
	}
	return found, nil
}

// majorVersion reads lines such as "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)" and "18beta2".
func majorVersion(line string) (int, error) {
	_, rest, ok := strings.Cut(line, "(PostgreSQL) ")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	major, err := strconv.Atoi(rest[:end])
	if !ok || err != nil {
		return 0, fmt.Errorf("unknown version %q", strings.TrimSpace(line))
	}
	return major, nil
}

// explain adds what the failed program said, if it was kept.
func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

func noServer(rejected []string, major int) error {
	wanted := fmt.Sprintf("PostgreSQL %d or newer", MinMajor)
	if major > 0 {
		wanted = fmt.Sprintf("PostgreSQL %d", major)
	}
	var looked string
	if len(rejected) > 0 {
		looked = "\n  not usable: " + strings.Join(rejected, "\n              ")
	}
	return fmt.Errorf("%w%s\nthree ways out:\n"+
		"  1. use a database you have:  export %s='postgres://user:password@host:5432/name?sslmode=disable'\n"+
		"  2. install %s:  apt-get install postgresql, brew install postgresql@17, or your system's way\n"+
		"  3. let the set-up fetch it:  make setup", ErrNoServer, looked, EnvURL, wanted)
}

// Find says which PostgreSQL programs Start would use on this machine for new data, without starting anything.
func Find(ctx context.Context) (dir string, err error) {
	found, err := thisMachine().find(ctx, chooseAccount(ctx, ""), 0)
	return found.dir, err
}

// temporary lists where temporary data may be: where TMPDIR says, else in memory, else on a disk.
func temporary() []string {
	dirs := []string{os.TempDir(), "/tmp", "/var/tmp"}
	if os.Getenv("TMPDIR") != "" {
		return dirs
	}
	return append(inMemory(), dirs...)
}
