package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/seal"
)

// service is a running daemon with its database.
type service struct {
	*child
	program    string
	env        []string
	url, admin string
}

// startService migrates the database and starts the daemon, with the settings an operator would leave alone, but for those that hinder
// measuring: the report is read whole each time, and no limit of calls or requests holds anything up. The settings given override these.
func startService(ctx context.Context, o options, d *database, sim *simulator, log string, settings ...string) (*service, error) {
	spool, err := filepath.Abs(filepath.Join(o.work, "spool"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(spool, 0o755); err != nil {
		return nil, err
	}
	s := &service{program: filepath.Join(o.programs, "defenderd")}
	s.env = environment(
		"DEFENDERD_DATABASE_URL="+d.url, "DEFENDERD_KEYRING="+seal.NewKey().Reveal(), "DEFENDERD_LISTEN=127.0.0.1:0", "DEFENDERD_ADMIN_LISTEN=127.0.0.1:0",
		"DEFENDERD_LOGIN_URL="+sim.api, "DEFENDERD_API_URL="+sim.api, "DEFENDERD_CA_FILE="+sim.caFile, "DEFENDERD_ROWS_PAGE_SIZE="+fmt.Sprint(o.pageRows),
		"DEFENDERD_SPOOL_DIR="+spool, "DEFENDERD_REPORT_WHOLE_EVERY=0s", "DEFENDERD_REPORT_FILES_ROWS=0", "DEFENDERD_UNSAFE_TEST_UPSTREAM=true", "DEFENDERD_UNSAFE_NO_CALL_LIMITS=true", "DEFENDERD_UNSAFE_DATABASE_TLS=true",
		"DEFENDERD_RATE_TENANT=0", "DEFENDERD_RATE_CREDENTIAL=0", "DEFENDERD_RATE_ADDRESS=0", "DEFENDERD_VALIDATION_RATE=0",
		"DEFENDERD_PPROF="+fmt.Sprint(o.profile != ""),
	)
	s.env = append(s.env, settings...) // of two settings of one name the last counts
	if _, err := output(ctx, s.program, []string{"migrate"}, s.env, nil); err != nil {
		return nil, err
	}
	if s.child, err = startChild("the service", s.program, []string{"serve"}, s.env, log, nil); err != nil {
		return nil, err
	}
	if err := s.await(ctx, time.Minute, s.findAddresses); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// findAddresses reads them from the line with which the daemon tells that it serves.
func (s *service) findAddresses() error {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		var entry struct{ Msg, API, Admin string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" {
			s.url, s.admin = "http://"+entry.API, "http://"+entry.Admin
			return nil
		}
	}
	return errors.New("it has not told its addresses")
}

// customer is a tenant with a key, and an integration once it is connected.
type customer struct {
	id          string
	number      int32 // inside the database
	key         string
	client      *api.Client
	directory   directory
	integration string
	fixed       int64 // findings, by what the imports told
}

// admit makes a tenant and its key with the operator's commands.
func (s *service) admit(ctx context.Context, d *database, name string, dir directory) (*customer, error) {
	var tenant struct{ ID string }
	if err := s.operate(ctx, &tenant, "tenant", "create", "--name", name, "--internal-assessments"); err != nil {
		return nil, err
	}
	var key struct{ Key string }
	if err := s.operate(ctx, &key, "api-key", "create", "--tenant", tenant.ID, "--name", "bench", "--role", "admin", "--expires", "7d"); err != nil {
		return nil, err
	}
	c := &customer{id: tenant.ID, key: key.Key, directory: dir}
	c.client = api.New(s.url, c.key, api.WithHTTPClient(&http.Client{Timeout: 2 * time.Minute}))
	public, err := publicID(tenant.ID)
	if err != nil {
		return nil, err
	}
	return c, d.db.QueryRowContext(ctx, "select id from tenant where public_id = $1", public).Scan(&c.number)
}

func (s *service) operate(ctx context.Context, into any, args ...string) error {
	out, err := output(ctx, s.program, append(args, "--output", "json"), s.env, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// publicID reads an id of the API, such as tnt_0199….
func publicID(text string) (uuid.UUID, error) {
	_, digits, _ := strings.Cut(text, "_")
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return uuid.Nil, err
	}
	return uuid.FromBytes(raw)
}

// connect links the tenant to its directory and gives the run that begins with it.
func (c *customer) connect(ctx context.Context) (run string, err error) {
	i, err := c.client.ConnectIntegration(ctx, api.ConnectRequest{
		Type:        api.TypeMicrosoftDefender,
		Credentials: api.CredentialsInput{TenantID: c.directory.id, ClientID: c.directory.client, ClientSecret: api.Secret(c.directory.secret)},
	})
	if err != nil {
		return "", err
	}
	if c.integration = i.ID; i.LastRun == nil {
		return "", errors.New("connecting did not begin an import")
	}
	return i.LastRun.ID, nil
}

// again starts another import.
func (c *customer) again(ctx context.Context) (run string, err error) {
	return c.start(ctx, api.StartRunRequest{})
}

// compareAll starts one that compares every stored finding, whatever the sums of the assets say.
func (c *customer) compareAll(ctx context.Context) (run string, err error) {
	return c.start(ctx, api.StartRunRequest{Mode: new(api.ModeFull)})
}

func (c *customer) start(ctx context.Context, order api.StartRunRequest) (run string, err error) {
	r, err := c.client.StartRun(ctx, c.integration, order)
	if err != nil {
		return "", err
	}
	return r.ID, nil
}

// follow waits for the end of an import; any but success is an error. Its own looking every now and then costs the service
// next to nothing, and times are taken from what the service tells.
func (c *customer) follow(ctx context.Context, id string) (*api.Run, error) {
	for {
		run, err := c.client.GetRun(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case run.State == api.RunSucceeded:
			return run, nil
		case run.State.Finished() && run.Error != nil:
			return nil, fmt.Errorf("the import ended %s: %s: %s", run.State, run.Error.Code, run.Error.Detail)
		case run.State.Finished():
			return nil, fmt.Errorf("the import ended %s", run.State)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}
