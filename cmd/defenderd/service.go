package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	contract "pgp.internal/defender"
	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/metrics"
	"pgp.internal/defender/internal/offboarding"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// service is everything that runs, wired together. Each part that this process does not do is nil.
type service struct {
	cfg      config.Config
	log      *slog.Logger
	requests *postgres.Store // pools of their own, so that neither API nor imports can starve the other
	work     *postgres.Store

	keys     *envelope.Keys
	registry *prometheus.Registry
	meter    *metrics.Metrics

	engine    *job.Engine
	scheduler *syncer.Scheduler
	watch     *syncer.CredentialWatch
	repeats   *httpapi.GiveBack
	public    *listener
	admin     *listener
	draining  atomic.Bool
}

// newService connects to the database, checks it, and opens the listeners; nothing is served before run.
func newService(ctx context.Context, cfg config.Config, log *slog.Logger) (*service, error) {
	s := &service{cfg: cfg, log: log}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *service) prepare(ctx context.Context) error {
	if err := checkSchema(ctx, s.cfg, s.log); err != nil {
		return err
	}
	if err := s.openStores(ctx); err != nil {
		return err
	}
	if err := s.mayWork(ctx); err != nil {
		return err
	}
	operations, err := operationsOf(contract.OpenAPI)
	if err != nil {
		return err
	}
	s.registry = prometheus.NewRegistry()
	s.meter = metrics.New(s.registry, thisBuild(), operations)
	if s.keys, err = keysOf(ctx, s.cfg, s.meter); err != nil {
		return err
	}
	if err := acceptKeys(ctx, s.requests, s.cfg, s.keys, s.log); err != nil {
		return err
	}
	return s.wire()
}

func (s *service) openStores(ctx context.Context) (err error) {
	open := func(o postgres.Options, conns int) (*postgres.Store, error) {
		o.AuditKey, o.KeySeals = auditKey(s.cfg.Keyring), tenant.NewKeySeals(s.cfg.Keyring)
		o.MaxConns, o.Partitions = conns, s.cfg.TenantPartitions
		return postgres.Open(ctx, s.cfg.DatabaseURL.Reveal(), o, s.log)
	}
	if s.requests, err = open(postgres.ForRequests(), s.cfg.HTTPMaxConns); err != nil {
		return err
	}
	work := postgres.ForWork()
	work.Actor = audit.Actor{Kind: audit.System, Name: "defenderd"} // requests name their own
	s.work, err = open(work, s.cfg.WorkMaxConns)
	return err
}

// mayWork refuses to import into a database that takes no changes, and says what else is possible there.
func (s *service) mayWork(ctx context.Context) error {
	readOnly, err := s.work.ReadOnly(ctx)
	switch {
	case err != nil || !readOnly:
		return err
	case s.cfg.Work:
		return errors.New(config.Prefix + "ROLES: the database takes no changes, because it is a standby or set to reading only; imports need the primary, and --roles http serves here what can be read")
	}
	s.log.Warn("the database takes no changes: what can be read is served, everything else is refused as read_only")
	return nil
}

// wire is the one place that knows how the parts fit together.
func (s *service) wire() error {
	build, meter := thisBuild(), s.meter
	figures := metrics.NewStoreCollector(s.requests, time.Now)
	figures.Start()
	s.registry.MustRegister(figures,
		collectors.NewDBStatsCollector(s.requests.DB(), "http"), collectors.NewDBStatsCollector(s.work.DB(), "work"))

	s.warnOfUnsafe()
	wake := func() {} // other processes do the work; they look for it by themselves
	if s.cfg.Work {
		integrations, err := s.integrations(s.work, meter)
		if err != nil {
			return err
		}
		if err := s.wireWork(integrations, meter); err != nil {
			return err
		}
		wake = s.engine.Wake
	}
	if s.cfg.ServeHTTP {
		integrations, err := s.integrations(s.requests, meter, connector.WithTrials(connector.NewTrials(s.cfg.ValidationRate, s.cfg.Validations)))
		if err != nil {
			return err
		}
		s.repeats = httpapi.NewGiveBack(s.requests, s.log)
		if s.public, err = listen("api", s.cfg.Listen, s.api(integrations, wake, meter, build), publicBounds(s.cfg.MaxConnections), s.log); err != nil {
			return err
		}
	}
	var err error
	s.admin, err = listen("admin", s.cfg.AdminListen, httpapi.Admin(httpapi.AdminDeps{
		Metrics: promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}),
		Ready:   s.ready, Log: s.log, Profiles: s.cfg.Profiles,
	}), adminBounds(), s.log)
	return err
}

// integrations are served from one pool of connections alone, that of requests or that of runs: also what their calls are counted in,
// so that the database keeps nobody longer than that pool allows.
func (s *service) integrations(store *postgres.Store, observer defender.Observer, o ...connector.Option) (*connector.Service, error) {
	source, err := s.connector(store, observer)
	if err != nil {
		return nil, err
	}
	return connector.NewService(store, s.sealer(store), connector.Registry{defender.Kind: source}, time.Now, o...), nil
}

// sealer shares what the process keeps unwrapped.
func (s *service) sealer(store *postgres.Store) *envelope.Sealer {
	return envelope.NewSealer(store, s.keys, s.cfg.Keyring)
}

// warnOfUnsafe tells which settings are fit for tests only.
func (s *service) warnOfUnsafe() {
	if s.cfg.UnsafeTestUpstream {
		s.log.Warn("UNSAFE_TEST_UPSTREAM is set: http and private addresses are permitted upstream; never do that in production")
	}
	if s.cfg.UnsafeDatabaseTLS {
		s.log.Warn("UNSAFE_DATABASE_TLS is set: the connection to the database may be open to others on the network")
	}
	if s.cfg.UnsafeNoCallLimits {
		s.log.Warn("UNSAFE_NO_CALL_LIMITS is set: Microsoft would refuse calls at this pace")
	}
}

func (s *service) connector(store *postgres.Store, observer defender.Observer) (*defender.Connector, error) {
	var budget defender.Budget = defender.NewSharedBudget(store)
	if s.cfg.UnsafeNoCallLimits {
		budget = defender.Unlimited{}
	}
	return defender.New(defender.Config{
		Budget: budget, Cloud: s.cfg.Cloud, LoginURL: s.cfg.LoginURL, APIURL: s.cfg.APIURL, AllowInsecure: s.cfg.UnsafeTestUpstream,
		FederatedTokenFile: s.cfg.FederatedTokenFile,
		RootCAs:            s.cfg.RootCAs, Pages: defender.Pages{Rows: s.cfg.RowsPageSize}, Observer: observer, Logger: s.log,
	})
}

// handBackWithin is how long imports may take to stop; with the longest drain delay the whole stop stays below 30 seconds.
const handBackWithin = 10 * time.Second

func (s *service) wireWork(integrations *connector.Service, meter *metrics.Metrics) error {
	if err := syncer.CheckSpool(s.cfg.SpoolDir); err != nil {
		return fmt.Errorf("DEFENDERD_SPOOL_DIR: %w", err)
	}
	policy := syncer.DefaultCataloguePolicy()
	policy.MaxAge = s.cfg.CatalogueMaxAge
	report := syncer.DefaultReportPolicy()
	report.WholeEvery, report.WholeRows, report.FilesRows = s.cfg.ReportWholeEvery, int64(s.cfg.ReportWholeRows), int64(s.cfg.ReportFilesRows)
	runs := syncer.New(s.work, integrations, syncer.Options{SpoolDir: s.cfg.SpoolDir, Catalogue: policy, Report: report,
		Removal: syncer.RemovalPolicy{Misses: s.cfg.RemovalMisses, Over: s.cfg.RemovalOver}}, s.log, meter, time.Now)
	s.engine = job.NewEngine(s.work, map[job.Kind]job.Handler{
		job.Sync: runs, job.Purge: runs, job.Offboard: offboarding.New(s.work, s.cfg.SpoolDir, s.log),
	}, job.Options{
		Workers: s.cfg.Workers, LargeRows: int64(s.cfg.LargeRows), Lease: s.cfg.Lease, Heartbeat: s.cfg.Heartbeat, Poll: s.cfg.Poll, Grace: handBackWithin, Holder: holder(),
	}, s.log, meter)
	s.scheduler = syncer.NewScheduler(s.work, s.engine.Wake, syncer.SchedulerOptions{}, s.log)
	s.watch = syncer.NewCredentialWatch(s.work, integrations, s.log, time.Now)
	return nil
}

// holder names this process in the queue.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:6])
}

func (s *service) api(integrations *connector.Service, wake func(), meter *metrics.Metrics, build metrics.Build) http.Handler {
	return httpapi.New(httpapi.Deps{
		Integrations: integrations, Runs: s.requests, Assets: s.requests, Vulnerabilities: s.requests, Findings: s.requests,
		Tenants: s.requests, Keys: s.requests, Tokens: s.tokens(), Audit: s.requests, Platform: s.requests, Repeats: s.repeats, Explain: syncer.Explain, Wake: wake, Now: time.Now,
		Limits: s.cfg.Limits, TrustedProxies: s.cfg.TrustedProxies, CursorKey: s.cfg.Keyring.Derive("cursor"), OpenAPI: contract.OpenAPI,
		Version: httpapi.Version{Version: build.Version, Revision: build.Revision}, Log: s.log, Meter: meter,
	})
}

// tokens checks tokens by the configured issuer's keys; without one it refuses them all.
func (s *service) tokens() httpapi.Tokens {
	if s.cfg.TokenIssuer == "" {
		return identity.NoIssuer{}
	}
	keys := identity.FromIssuer(s.cfg.TokenIssuer, s.issuerClient(), time.Now, s.log)
	if s.cfg.TokenKeysFile != "" {
		keys = identity.FromFile(s.cfg.TokenKeysFile, time.Now, s.log)
	}
	return identity.New(identity.Config{
		Issuer: s.cfg.TokenIssuer, Audience: s.cfg.TokenAudience, Algorithms: s.cfg.TokenAlgorithms, Skew: s.cfg.TokenSkew, MaxLife: s.cfg.TokenMaxLife,
		TenantClaim: s.cfg.TokenTenantClaim, RoleClaim: s.cfg.TokenRoleClaim, Keys: keys, Now: time.Now,
	})
}

func (s *service) issuerClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() // with the proxy of the environment
	transport.TLSClientConfig = &tls.Config{RootCAs: s.cfg.RootCAs, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport, Timeout: issuerTimeout}
}

// issuerTimeout bounds one of the two documents that tell an issuer's keys.
const issuerTimeout = 5 * time.Second

// ready tells whether requests should come here: not any more while stopping, and not while the database is away.
func (s *service) ready(ctx context.Context) error {
	if s.draining.Load() {
		return fault.New(fault.CodeUnavailable, "this process is stopping")
	}
	return s.requests.Ping(ctx)
}

// release closes what newService opened.
func (s *service) release() error {
	var errs []error
	for _, l := range []*listener{s.public, s.admin} {
		if l != nil {
			errs = append(errs, l.close())
		}
	}
	if s.repeats != nil {
		s.repeats.Stop()
	}
	for _, store := range []*postgres.Store{s.requests, s.work} {
		if store != nil {
			errs = append(errs, store.Close())
		}
	}
	return errors.Join(errs...)
}
