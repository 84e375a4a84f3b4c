package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgp.internal/defender/internal/postgres"
)

// pgPrograms are PostgreSQL's own clients, which set the limits.
type pgPrograms struct{ psql, pgbench string }

// findPrograms looks beside the server's programs, whose release fits, and then in $PATH.
func findPrograms(ctx context.Context, db *sql.DB) (p pgPrograms, err error) {
	var dir string
	if err := db.QueryRowContext(ctx, "select setting from pg_config where name = 'BINDIR'").Scan(&dir); err != nil {
		return p, err
	}
	for name, into := range map[string]*string{"psql": &p.psql, "pgbench": &p.pgbench} {
		if *into, err = exec.LookPath(filepath.Join(dir, name)); err == nil {
			continue
		}
		if *into, err = exec.LookPath(name); err != nil {
			return p, fmt.Errorf("%s is neither in %s, beside the server, nor in PATH: the limits cannot be measured without it. "+
				"Install PostgreSQL's clients (Debian: apt-get install postgresql-client postgresql), or leave the limits out with --skip copy,reads,export", name, dir)
		}
	}
	return p, nil
}

const sessionOptions = "PGOPTIONS=-c jit=off"

// libpq gives the parts of a URL as the environment of psql and pgbench: arguments would show the password. Their statements are not
// compiled, as the service's are not.
func libpq(address string) ([]string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	env := environment(sessionOptions, "PGHOST="+u.Hostname(), "PGUSER="+u.User.Username(), "PGDATABASE="+strings.TrimPrefix(u.Path, "/"))
	if port := u.Port(); port != "" {
		env = append(env, "PGPORT="+port)
	}
	if password, ok := u.User.Password(); ok {
		env = append(env, "PGPASSWORD="+password)
	}
	for name, variable := range map[string]string{"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"} {
		if value := u.Query().Get(name); value != "" {
			env = append(env, variable+"="+value)
		}
	}
	return env, nil
}

// copied runs one \copy. It tells the time, and how many lines went to stdout, where they are counted and dropped.
func (d *database) copied(ctx context.Context, p pgPrograms, command string) (rows int64, took time.Duration, err error) {
	env, err := libpq(d.url)
	if err != nil {
		return 0, 0, err
	}
	// psql reads to the end of the line, so a statement must be in one.
	command = strings.Join(strings.Fields(command), " ")
	cmd := exec.CommandContext(ctx, p.psql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command="+command)
	var complaint bytes.Buffer
	var lines counter
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &lines, &complaint
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return lines.lines, time.Since(began), nil
}

// counter counts lines and keeps nothing.
type counter struct{ lines int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.lines += int64(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// pgbench runs statements over and over for a turn, prepared, and tells how often a second all of them were run. Settings of the session may be
// added, each as "-c name=value".
func (d *database) pgbench(ctx context.Context, p pgPrograms, statements []postgres.Statement, o options, settings ...string) (float64, error) {
	env, err := libpq(d.url)
	if err != nil {
		return 0, err
	}
	env = append(env, strings.Join(append([]string{sessionOptions}, settings...), " "))
	script, variables := pgbenchScript(statements)
	args := []string{"--no-vacuum", "--protocol=prepared", "--file=/dev/stdin", "--client=" + strconv.Itoa(o.connections),
		"--jobs=" + strconv.Itoa(min(2, o.connections)), "--time=" + strconv.Itoa(max(1, int(o.turn().Seconds())))}
	out, err := output(ctx, p.pgbench, append(args, variables...), env, strings.NewReader(script))
	if err != nil {
		return 0, err
	}
	return parseTPS(string(out))
}

var localSetting = regexp.MustCompile(`set local (\w+) = '(\w+)'`)

// plannedAlike gives the settings by which the service has statements planned; none if they differ.
func plannedAlike(statements []postgres.Statement) (settings []string) {
	for i, s := range statements {
		var own []string
		for _, found := range localSetting.FindAllStringSubmatch(s.Scope, -1) {
			own = append(own, "-c "+found[1]+"="+found[2])
		}
		if i > 0 && !slices.Equal(own, settings) {
			return nil
		}
		settings = own
	}
	return settings
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// pgbenchScript writes statements for pgbench. Their arguments become variables, which pgbench sends apart from the text, as
// the service does.
func pgbenchScript(statements []postgres.Statement) (script string, variables []string) {
	var b strings.Builder
	for i, s := range statements {
		prefix := fmt.Sprintf("s%da", i+1)
		b.WriteString(placeholder.ReplaceAllString(strings.TrimSpace(s.Text), ":"+prefix+"$1") + ";\n")
		for j, arg := range s.Args {
			variables = append(variables, fmt.Sprintf("--define=%s%d=%s", prefix, j+1, literal(arg)))
		}
	}
	return b.String(), variables
}

// literal writes an argument as text, which PostgreSQL reads as what the statement wants it to be.
func literal(arg any) string {
	switch v := arg.(type) {
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999999-07")
	default:
		return fmt.Sprint(v)
	}
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

func parseTPS(out string) (float64, error) {
	found := tpsLine.FindStringSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench told no rate: %.500s", out)
	}
	return strconv.ParseFloat(found[1], 64)
}
