package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/cmd/defenderd/internal/demo"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/pgserver"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// stage is everything that a demonstration has started; strike takes it down in the opposite order.
type stage struct {
	dir   string
	state demoState
	log   *os.File
	down  []func() error

	databaseURL                                string
	apiURL, adminURL, microsoftURL, controlURL string
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// openStage takes the directory for this process alone.
func openStage(dir string, size demoSize, chosen bool) (*stage, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- the database's account has to pass through
		return nil, err
	}
	s := &stage{dir: dir}
	if err := s.open(size, chosen); err != nil {
		return nil, errors.Join(err, s.strike())
	}
	return s, nil
}

func (s *stage) open(size demoSize, chosen bool) error {
	lock, err := os.OpenFile(s.path(lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.down = append(s.down, lock.Close)
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("a demonstration is running in %s already; end that, or use another --dir", s.dir)
	}
	if s.state, err = readDemoState(s.dir, size, chosen); err != nil {
		return err
	}
	if s.log, err = os.OpenFile(s.path(logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	s.down = append(s.down, s.log.Close)
	return nil
}

// strike stops what was started, the last first.
func (s *stage) strike() error {
	var errs []error
	for i := len(s.down) - 1; i >= 0; i-- {
		errs = append(errs, s.down[i]())
	}
	s.down = nil
	return errors.Join(errs...)
}

// setStage starts database, simulator and service. If one of them ends later on, it cancels the walk and tells why.
func (p *program) setStage(ctx context.Context, cancel context.CancelCauseFunc, s *stage, w *demo.Writer) error {
	w.Step("Setting the stage")
	if err := s.startDatabase(ctx, p, cancel, w); err != nil {
		return err
	}
	if err := s.startMicrosoft(cancel); err != nil {
		return err
	}
	w.Line("microsoft: simulated on %s, a directory of %d machines and some odd ones", s.microsoftURL, s.state.Machines)
	if err := s.admitTenant(ctx); err != nil {
		return err
	}
	if err := s.startService(ctx, cancel); err != nil {
		return err
	}
	w.Line("service:   on %s, log in %s", s.apiURL, s.path(logName))
	s.state.Unstarted = false
	return s.state.save(s.dir)
}

func (s *stage) startDatabase(ctx context.Context, p *program, cancel context.CancelCauseFunc, w *demo.Writer) error {
	given, _ := p.env(pgserver.EnvURL)
	server, err := pgserver.Start(ctx, pgserver.Options{URL: given, Dir: s.path(serverName), Announce: w})
	if err != nil {
		return err
	}
	s.down = append(s.down, server.Stop)
	if s.databaseURL = server.URL(); given != "" {
		if s.databaseURL, err = ownDatabase(ctx, server.URL(), s.state.Database); err != nil {
			return err
		}
		if s.databaseURL != server.URL() {
			w.Line("          in it %s, made for this demonstration", s.state.Database)
		}
	}
	go func() {
		select {
		case <-server.Done(): // never for a server that is not ours
			cancel(collapse{errors.New("the database server has ended")})
		case <-ctx.Done():
		}
	}()
	_, err = postgres.Migrate(ctx, s.databaseURL)
	return err
}

// ownDatabase makes a database for the demonstration on a server that is somebody else's, so that it neither meets nor
// leaves anything in theirs. Without the right to do so, theirs is used.
func ownDatabase(ctx context.Context, server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return server, nil // key=value form: used as it is
	}
	db, err := sql.Open("postgres", server)
	if err != nil {
		return "", errors.New("DATABASE_URL cannot be read")
	}
	defer db.Close() //nolint:errcheck // nothing depends on it
	_, err = db.ExecContext(ctx, "create database "+pq.QuoteIdentifier(name))
	var refusal *pq.Error
	if errors.As(err, &refusal) {
		switch refusal.Code {
		case "42P04": // it exists: an earlier start made it
			err = nil
		case "42501": // no right to
			return server, nil
		}
	}
	u.Path = "/" + name
	return u.String(), err
}

// startMicrosoft serves the simulator like the program defendersim does.
func (s *stage) startMicrosoft(cancel context.CancelCauseFunc) error {
	sim := defendersim.New(defendersim.Config{Seed: s.state.Seed, CatalogueSize: s.state.Catalogue})
	err := sim.AddDirectory(defendersim.DirectorySpec{
		ID: s.state.DirectoryID, Domain: "contoso.com", Machines: s.state.Machines, FindingsPerMachine: &s.state.Findings, Seed: &s.state.Seed,
		Apps: []defendersim.App{{
			ClientID: s.state.ClientID, Secret: s.state.Secret, SecretExpiresAt: time.Now().AddDate(0, 6, 0),
			Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
		}},
	})
	if err != nil {
		return err
	}
	if s.microsoftURL, err = s.serve(cancel, "127.0.0.1:9400", sim.Handler()); err != nil {
		return err
	}
	s.controlURL, err = s.serve(cancel, "127.0.0.1:9401", sim.ControlHandler())
	return err
}

// anyPort is taken when somebody has the usual one.
const anyPort = "127.0.0.1:0"

func (s *stage) serve(cancel context.CancelCauseFunc, preferred string, h http.Handler) (address string, err error) {
	socket, err := net.Listen("tcp", preferred)
	if errors.Is(err, syscall.EADDRINUSE) {
		socket, err = net.Listen("tcp", anyPort)
	}
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	go func() {
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			cancel(collapse{fmt.Errorf("the simulator ended: %w", err)})
		}
	}()
	s.down = append(s.down, server.Close)
	return "http://" + socket.Addr().String(), nil
}

// demoTenant is the customer that the demonstration plays.
const demoTenant = "Contoso (demonstration)"

// admitTenant does what an operator does for a new customer, with the same calls as the operator's commands.
func (s *stage) admitTenant(ctx context.Context) (err error) {
	options := postgres.ForRequests()
	options.Actor = operatorActor()
	cfg, err := s.settings(anyPort, anyPort)
	if err != nil {
		return err
	}
	options.AuditKey, options.KeySeals = auditKey(cfg.Keyring), tenant.NewKeySeals(cfg.Keyring)
	store, err := postgres.Open(ctx, s.databaseURL, options, newLogger(s.log, config.Config{}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if _, err := store.PrincipalByKey(ctx, seal.NewSecret(s.state.APIKey)); err == nil {
		return nil // an earlier start did it
	}
	t, err := s.tenant(ctx, store)
	if err != nil {
		return err
	}
	if err := store.SetEntitlement(ctx, t.ID, tenant.Entitlement{InternalAssessments: true, Source: "demo"}); err != nil {
		return err
	}
	key := tenant.NewKey()
	_, err = store.CreateAPIKey(ctx, t.ID, tenant.APIKey{Name: "demo", Role: tenant.Admin, ExpiresAt: time.Now().AddDate(0, 1, 0)}, key)
	if err != nil {
		return err
	}
	s.state.TenantID, s.state.APIKey = publicID(tenantPrefix, t.PublicID), key.Reveal()
	return s.state.save(s.dir)
}

func (s *stage) tenant(ctx context.Context, store *postgres.Store) (tenant.Tenant, error) {
	if id, err := parsePublicID(tenantPrefix, "tenant", s.state.TenantID); err == nil && id != uuid.Nil {
		if t, err := store.TenantByPublicID(ctx, id); err == nil {
			return t, nil
		}
	}
	return store.CreateTenant(ctx, demoTenant, "demo@contoso.example")
}

// startService runs what "defenderd serve" runs, with settings like an operator's.
func (s *stage) startService(ctx context.Context, cancel context.CancelCauseFunc) error {
	service, err := s.service(ctx, "127.0.0.1:8080", "127.0.0.1:9090")
	if errors.Is(err, syscall.EADDRINUSE) {
		service, err = s.service(ctx, anyPort, anyPort)
	}
	if err != nil {
		return err
	}
	// Its own context: it has to stop before the database does, not when the walk ends.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		err := service.run(running)
		if running.Err() == nil {
			cancel(collapse{errors.Join(errors.New("the service ended; see its log"), err)})
		}
		ended <- err
	}()
	s.down = append(s.down, func() error { stop(); return <-ended })
	s.apiURL, s.adminURL = "http://"+service.public.address(), "http://"+service.admin.address()
	return nil
}

func (s *stage) service(ctx context.Context, listen, admin string) (*service, error) {
	cfg, err := s.settings(listen, admin)
	if err != nil {
		return nil, err
	}
	return newService(ctx, cfg, newLogger(s.log, cfg))
}

func (s *stage) settings(listen, admin string) (config.Config, error) {
	settings := map[string]string{
		"DATABASE_URL": s.databaseURL, "KEYRING_FILE": s.path(keyringName), "LISTEN": listen, "ADMIN_LISTEN": admin,
		"LOGIN_URL": s.microsoftURL, "API_URL": s.microsoftURL, "UNSAFE_TEST_UPSTREAM": "true", "UNSAFE_DATABASE_TLS": "true",
		"POLL": "200ms", "LOG_FORMAT": "text",
	}
	return config.Read(func(name string) (string, bool) {
		value, ok := settings[strings.TrimPrefix(name, config.Prefix)]
		return value, ok
	}, nil, "DATABASE_URL", "KEYRING")
}
