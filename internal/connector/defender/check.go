package defender

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// Names of the steps of a check.
const (
	stepToken           = connector.CheckToken
	stepPermissions     = "permissions"
	stepMachines        = "machines"
	stepVulnerabilities = "vulnerabilities"
)

const (
	checkTries   = 2 // somebody is waiting in front of a form
	maxProbeBody = 4 << 20
)

// probe is one live call of a check.
type probe struct {
	step       string
	endpoint   Endpoint
	path       string
	permission string
	off        string // why it is not needed; empty when it is
	err        error
	took       time.Duration
}

// Check implements connector.Source. It always requests a new token, since permissions granted a moment ago are only in
// new ones, and always reports the steps token, permissions, machines and vulnerabilities, in this order. What the
// token claims only explains; whether a permission is there is decided by calling the API.
func (s *source) Check(ctx context.Context, want connector.Probe) []connector.Check {
	ctx, cancel := context.WithTimeout(ctx, s.conn.cfg.Timeouts.Check)
	defer cancel()
	if want != (connector.Probe{}) { // a run asks for the token alone, unless another credential waits
		ctx = withPerson(ctx, cancel)
	}
	checks := s.check(ctx, want)
	if lost := personOf(ctx).loss(); lost != nil {
		return undecided(checks, lost)
	}
	return checks
}

// undecided makes every step that was needed end with what the count of calls met.
func undecided(checks []connector.Check, lost error) []connector.Check {
	for i, c := range checks {
		if !c.Skipped {
			checks[i] = result(c.Name, lost, c.Duration)
		}
	}
	return checks
}

// check makes the steps of Check.
func (s *source) check(ctx context.Context, want connector.Probe) []connector.Check {
	started := time.Now()
	t, err := s.freshToken(ctx, checkTries)
	checks := []connector.Check{result(stepToken, err, time.Since(started))}
	probes := probesFor(want)
	if err != nil {
		for _, step := range []string{stepPermissions, stepMachines, stepVulnerabilities} {
			checks = append(checks, connector.Check{Name: step, Skipped: true, Detail: "Not tried, because no access token could be had."})
		}
		return checks
	}
	var group sync.WaitGroup
	for _, p := range probes {
		if p.off == "" {
			group.Go(func() { s.try(ctx, p) })
		}
	}
	group.Wait()
	checks = append(checks, s.permissionCheck(probes, t))
	for _, p := range probes {
		checks = append(checks, p.check())
	}
	return checks
}

// probesFor lists both probes. Machines are needed by either import: a finding belongs to a machine, and only the
// machine's record tells whether it counts.
func probesFor(want connector.Probe) []*probe {
	machines := &probe{step: stepMachines, endpoint: EndpointMachines, path: pathMachines, permission: machineRead}
	vulnerabilities := &probe{step: stepVulnerabilities, endpoint: EndpointVulnerabilities, path: pathVulnerabilities, permission: vulnerabilityRead}
	if !want.Assets && !want.Vulnerabilities {
		machines.off = "Not needed: both imports are off."
	}
	if !want.Vulnerabilities {
		vulnerabilities.off = "Not needed: Import Vulnerabilities is off."
	}
	return []*probe{machines, vulnerabilities}
}

// try asks for a single record. The token is new, so a 401 is not answered by renewing it.
func (s *source) try(ctx context.Context, p *probe) {
	started := time.Now()
	p.err = s.repeat(ctx, p.endpoint, checkTries, func(ctx context.Context) error {
		_, err := s.exchange(ctx, call{endpoint: p.endpoint, address: s.conn.api + p.path + "?$top=1", size: maxProbeBody, consume: func(b *body) error {
			scan := newScanner()
			_, err := scan.list(b, func() error { scan.skip(); return nil })
			return err
		}})
		return err
	})
	var f *failure
	if errors.As(p.err, &f) && f.noMachines() {
		p.err = nil // a directory without machines
	}
	p.took = time.Since(started)
}

func (p *probe) check() connector.Check {
	if p.off != "" {
		return connector.Check{Name: p.step, OK: true, Skipped: true, Detail: p.off}
	}
	return result(p.step, p.err, p.took)
}

// permissionCheck combines the token's claim with what the probes met: a probe that went through proves its permission,
// one that was refused for it disproves it, and any other leaves it to the claim.
func (s *source) permissionCheck(probes []*probe, t token) connector.Check {
	var needed, missing []string
	for _, p := range probes {
		if p.off == "" {
			needed = append(needed, p.permission)
		}
		denied := fault.Is(p.err, fault.CodePermissionMissing) || fault.Is(p.err, fault.CodeConsentMissing)
		claimed := !t.known || grants(t.claims.Roles, p.permission)
		if p.off == "" && (denied || p.err != nil && !claimed) {
			missing = append(missing, p.permission)
		}
	}
	access := accessOf(t.claims.Roles, t.known, needed...)
	if len(missing) == 0 {
		return connector.Check{Name: stepPermissions, OK: true, Access: access}
	}
	if t.known && len(t.claims.Roles) == 0 {
		f := fault.Newf(fault.CodeConsentMissing, "Application %s holds no permission of WindowsDefenderATP in directory %s.",
			s.credentials.ClientID, s.credentials.DirectoryID)
		f.Access = access
		return connector.FailedCheck(stepPermissions, f, 0)
	}
	names := strings.Join(missing, " and ")
	f := fault.Newf(fault.CodePermissionMissing, "Application %s lacks %s.", s.credentials.ClientID, names)
	f.Cause = "Not added as an application permission of WindowsDefenderATP, or without an administrator's consent: " + names + "."
	f.Access = lacking(access, missing...)
	return connector.FailedCheck(stepPermissions, f, 0)
}

// result turns a step's outcome into a check. A context that ended is Microsoft not answering in the time there was, unless it ended in
// this service's own count of calls.
func result(step string, err error, took time.Duration) connector.Check {
	if err == nil {
		return connector.Check{Name: step, OK: true, Duration: took}
	}
	if (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) && !fault.Is(err, fault.CodeUnavailable) {
		err = fault.Wrap(err, fault.CodeUpstreamTimeout, "Microsoft did not answer in the time that trying the credentials may take.")
	}
	return connector.FailedCheck(step, fault.As(err), took)
}
