package defendersim

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// Config describes a simulator. The zero value is useful.
type Config struct {
	Seed          uint64           // of the catalogue, and of directories that name none
	CatalogueSize int              // ordinary vulnerabilities; 0 means 5000
	Now           func() time.Time // clock of tokens, secrets and quotas; nil means time.Now
	Directory     *DirectorySpec   // a first directory; nil means none
	NoQuotas      bool             // answer without Microsoft's call limits
	PageCache     int64            // bytes of compressed pages and files of the row report to keep for reading them again; 0 means none
	Switches      Switches
	Logger        *slog.Logger // nil means silence
}

// Simulator is one Microsoft: a catalogue of vulnerabilities and any number of directories. Safe for concurrent use.
type Simulator struct {
	clock     *clock
	now       func() time.Time // of clock
	log       *slog.Logger
	seed      uint64
	catalogue *world.Catalogue // its present edition; see changing
	live      atomic.Pointer[Switches]
	switching sync.Mutex // held while switches are read to be changed
	key       []byte     // signs tokens and paging tokens
	quotas    *quotas
	faults    *faults
	journal   *journal
	pages     *pageCache

	changing    sync.Mutex // held while directories and the catalogue change
	mu          sync.RWMutex
	directories map[string]*directory // by lower-case id
}

// New builds a simulator. It panics if Config.Directory or Config.Switches are not valid, because that is a mistake in the
// calling program.
func New(c Config) *Simulator {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Simulator{
		clock: &clock{base: c.Now}, log: c.Logger, seed: c.Seed, key: make([]byte, 32),
		catalogue: world.NewCatalogue(c.Seed, cmp.Or(c.CatalogueSize, 5000), c.Now()),
		journal:   &journal{}, faults: newFaults(), pages: newPageCache(c.PageCache), directories: map[string]*directory{},
	}
	s.now = s.clock.now
	if err := s.Switch(c.Switches); err != nil {
		panic("defendersim: " + err.Error())
	}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if !c.NoQuotas {
		s.quotas = newQuotas(s.now)
	}
	// The error of rand.Read is always nil; it ends the program when the system has no randomness.
	_, _ = rand.Read(s.key)
	if c.Directory != nil {
		if err := s.AddDirectory(*c.Directory); err != nil {
			panic("defendersim: " + err.Error())
		}
	}
	return s
}

// AddDirectory adds a directory, or replaces the one with the same id and with it all its changes.
func (s *Simulator) AddDirectory(spec DirectorySpec) error {
	spec, err := spec.complete(s.seed)
	if err != nil {
		return err
	}
	d := &directory{spec: spec, apps: map[string]App{}}
	for _, a := range spec.Apps {
		if a, err = a.complete(); err != nil {
			return err
		}
		d.apps[strings.ToLower(a.ClientID)] = a
	}
	d.spec.Apps = nil
	s.changing.Lock()
	defer s.changing.Unlock()
	d.state = world.NewState(world.New(s.catalogue, world.Spec{Seed: *spec.Seed, Domain: spec.Domain, Machines: spec.Machines,
		FindingsPerMachine: spec.findings(), EdgeCases: spec.edgeCases()}))
	d.history = newHistory(d.state, s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, other := range s.directories {
		if id != spec.ID && strings.EqualFold(other.spec.Domain, spec.Domain) {
			return fmt.Errorf("domain %q belongs to directory %s", spec.Domain, id)
		}
	}
	s.directories[spec.ID] = d
	return nil
}

// RemoveDirectory forgets a directory; tokens issued for it are refused from now on. False when there is none.
func (s *Simulator) RemoveDirectory(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.directories[strings.ToLower(id)]
	delete(s.directories, strings.ToLower(id))
	return ok
}

// Directories lists the ids in order.
func (s *Simulator) Directories() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.directories))
}

// SetApp adds an application registration to a directory or replaces the one with the same client id. Tokens issued
// before keep what they were issued with, as they do in Entra ID.
func (s *Simulator) SetApp(directoryID string, a App) error {
	d, ok := s.directory(directoryID)
	if !ok {
		return fmt.Errorf("no directory %q", directoryID)
	}
	a, err := a.complete()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apps[strings.ToLower(a.ClientID)] = a
	return nil
}

// SetLicence changes what the directory has subscribed to.
func (s *Simulator) SetLicence(directoryID string, l Licence) error {
	d, ok := s.directory(directoryID)
	if !ok {
		return fmt.Errorf("no directory %q", directoryID)
	}
	if !l.valid() {
		return fmt.Errorf("licence %q is not full, machines_only or inactive", l)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spec.Licence = l
	return nil
}

// Change applies changes to a directory in order: all of them or, with an error, none. Chains of pages that have begun
// do not see them; with Switches.SixHourSnapshots the mapping data do from the next time on the grid on. What Microsoft
// rates anew or publishes reaches all directories.
func (s *Simulator) Change(directoryID string, changes ...world.Change) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	d, ok := s.directory(directoryID)
	if !ok {
		return fmt.Errorf("no directory %q", directoryID)
	}
	now, sixHourly := s.now(), s.switches().SixHourSnapshots
	next, err := d.present(s.now()).ApplyAt(now, changes...)
	if err != nil {
		return err
	}
	d.become(next, now, sixHourly)
	if next.Catalogue() == s.catalogue {
		return nil
	}
	s.catalogue = next.Catalogue()
	for _, id := range s.Directories() {
		if other, ok := s.directory(id); ok && other != d {
			other.become(other.present(s.now()).WithCatalogue(s.catalogue), now, sixHourly)
		}
	}
	return nil
}

// State is the present content of a directory, with its expected outcome; false when there is no such directory.
func (s *Simulator) State(directoryID string) (*world.State, bool) {
	d, ok := s.directory(directoryID)
	if !ok {
		return nil, false
	}
	return d.present(s.now()), true
}

// directory finds a directory by id or domain.
func (s *Simulator) directory(tenant string) (*directory, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.directories[strings.ToLower(tenant)]; ok {
		return d, true
	}
	for _, d := range s.directories {
		if strings.EqualFold(d.spec.Domain, tenant) {
			return d, true
		}
	}
	return nil, false
}

// Handler serves Entra ID and the Defender API on one address; they are told apart by path.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.serve) }
