package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// directory is a customer's Entra ID tenant with an application that may read it.
type directory struct {
	id, client, secret string
}

// newDirectory gives the n-th directory. A directory's content follows from its id, so the ids are always the same.
func newDirectory(n int) directory {
	return directory{
		id: fmt.Sprintf("0be9c400-0c8e-4d1c-9a52-%012x", n), client: fmt.Sprintf("0be9c400-61f4-4f0e-8d3a-%012x", n), secret: "bench~" + rand.Text(),
	}
}

// simulator is a running Microsoft.
type simulator struct {
	*child
	api, control string
	caFile       string
	main         directory
}

// bytesPerRow is what a row takes in the simulator's memory of pages, compressed; measured, with something to spare.
const bytesPerRow = 120

// startSimulator serves one large directory. There is room in its memory for the pages and files of one state and for small
// directories beside it.
func startSimulator(ctx context.Context, o options, machines int, log string) (*simulator, error) {
	s := &simulator{main: newDirectory(0)}
	rows := machines*o.rowsPerMachine + 2*o.small*o.smallMachines*o.smallRows
	stdout := &firstLine{full: make(chan []byte, 1)}
	args := []string{
		"--listen=127.0.0.1:0", "--control=127.0.0.1:0", "--tls", "--quotas=false", "--page-cache=" + strconv.Itoa(64+2*rows*bytesPerRow>>20),
		"--machines=" + strconv.Itoa(machines), "--findings=" + strconv.Itoa(o.rowsPerMachine), "--catalogue=" + strconv.Itoa(o.catalogue),
		"--directory=" + s.main.id, "--client-id=" + s.main.client,
	}
	var err error
	s.child, err = startChild("the simulator", filepath.Join(o.programs, "defendersim"), args, environment("DEFENDERSIM_SECRET="+s.main.secret), log, stdout)
	if err != nil {
		return nil, err
	}
	if err := s.connect(ctx, stdout, log+".pem"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// connect reads the line with the addresses and keeps the certificate for the service to trust.
func (s *simulator) connect(ctx context.Context, stdout *firstLine, caFile string) error {
	var line []byte
	err := s.await(ctx, time.Minute, func() error {
		select {
		case line = <-stdout.full:
			return nil
		default:
			return errors.New("it has not told its addresses")
		}
	})
	if err != nil {
		return err
	}
	var told struct{ API, Control string }
	if err := json.Unmarshal(line, &told); err != nil {
		return fmt.Errorf("the simulator's first line: %w", err)
	}
	s.api, s.control, s.caFile = told.API, told.Control, caFile
	u, err := url.Parse(s.api)
	if err != nil {
		return err
	}
	c, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // just to get what is to be trusted
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing was sent
	block := &pem.Block{Type: "CERTIFICATE", Bytes: c.ConnectionState().PeerCertificates[0].Raw}
	return os.WriteFile(caFile, pem.EncodeToMemory(block), 0o644)
}

// firstLine is a writer that hands over its first line and drops the rest.
type firstLine struct {
	mu   sync.Mutex
	kept []byte
	done bool
	full chan []byte
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return len(p), nil
	}
	f.kept = append(f.kept, p...)
	if line, _, ok := bytes.Cut(f.kept, []byte("\n")); ok {
		f.done = true
		f.full <- line
	}
	return len(p), nil
}

// change changes the large directory.
func (s *simulator) change(ctx context.Context, changes ...world.Change) error {
	return s.call(ctx, http.MethodPost, "/directories/"+s.main.id+"/changes", changes, nil)
}

// truth sums up what an import of the large directory must hold.
func (s *simulator) truth(ctx context.Context) (*world.Truth, error) {
	t := &world.Truth{}
	return t, s.call(ctx, http.MethodGet, "/directories/"+s.main.id+"/truth", nil, t)
}

// addSmall adds a directory of ordinary machines.
func (s *simulator) addSmall(ctx context.Context, d directory, machines, rows int) error {
	odd := false
	spec := defendersim.DirectorySpec{
		ID: d.id, Machines: machines, FindingsPerMachine: &rows, EdgeCases: &odd,
		Apps: []defendersim.App{{ClientID: d.client, Secret: d.secret, SecretExpiresAt: time.Now().AddDate(0, 1, 0),
			Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}}},
	}
	return s.call(ctx, http.MethodPut, "/directories/"+d.id, spec, nil)
}

// call uses the control interface.
func (s *simulator) call(ctx context.Context, method, path string, body, into any) error {
	resp, err := s.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if into == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (s *simulator) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.control+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close() //nolint:errcheck // it was read
		complaint, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fmt.Errorf("the simulator answers %s: %s", resp.Status, complaint)
	}
	return resp, nil
}
