package syncer

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
)

// staging hands the changed parts of assets to the database: findings in batches, each copied while the next is grouped,
// and what hangs on them at the end.
type staging struct {
	*pass
	apply     ApplyFindings
	changed   []parts // by position in census.known; none again once staged
	group     grouping
	exposures tally
	needed    neededPlaces

	batch  *batch // being filled
	copied chan *batch
	full   chan *batch
}

// batch is what one COPY of each kind takes.
type batch struct {
	assets    []StagedAsset
	findings  []StagedFinding
	software  []int32 // backs the findings' software
	installed []StagedInstallation
}

// stageBatch is how many records go into one COPY.
const stageBatch = 20_000

// findings groups the spooled rows of changed assets and copies the findings.
func (s *staging) findings(ctx context.Context) error {
	s.batch, s.copied, s.full = &batch{}, make(chan *batch, 1), make(chan *batch)
	s.copied <- &batch{}
	// The database must not see the group's context: it ends with the group, and a load's transaction would end with it.
	group, either := errgroup.WithContext(ctx)
	group.Go(func() error {
		for b := range s.full {
			if err := s.copy(ctx, b); err != nil {
				return err
			}
			b.assets, b.findings, b.software, b.installed = b.assets[:0], b.findings[:0], b.software[:0], b.installed[:0]
			s.copied <- b
		}
		return nil
	})
	group.Go(func() error {
		defer close(s.full)
		err := s.rows.each(s.wanted, func(machine int32, rows []spooledRow) error { return s.machine(either, machine, rows) })
		if err == nil && len(s.batch.assets) > 0 {
			err = s.flush(either)
		}
		return err
	})
	return group.Wait()
}

func (s *staging) wanted(machine int32) bool {
	if int(machine) >= len(s.census.assets) {
		return false // the last bucket may be wider than what is left
	}
	position := s.census.assets[machine]
	return position >= 0 && s.changed[position] != 0
}

// machine groups one machine's rows.
func (s *staging) machine(ctx context.Context, machine int32, rows []spooledRow) error {
	position := s.census.assets[machine]
	changed := s.changed[position]
	s.group.begin(s.asset(position))
	s.changed[position] = 0
	s.group.take(rows)
	s.apply.Rows += s.group.taken
	s.exposures.add(s.group.findings, s.apply.Now)
	b := s.batch
	b.assets = append(b.assets, s.group.asset)
	s.install()
	for _, f := range s.group.findings {
		if f.Reason == 0 {
			s.apply.Present++
		}
		if !changed.has(PartOf(f.Vulnerability)) {
			if f.Reason == 0 {
				s.apply.Unchanged++
			}
			continue
		}
		start := len(b.software)
		b.software = append(b.software, f.Software...)
		f.Software = b.software[start:len(b.software):len(b.software)]
		b.findings = append(b.findings, f)
	}
	if len(b.findings) < stageBatch && len(b.assets) < stageBatch {
		return nil
	}
	return s.flush(ctx)
}

// flush passes the batch on and takes the other one as soon as it is copied.
func (s *staging) flush(ctx context.Context) error {
	select {
	case s.full <- s.batch:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case s.batch = <-s.copied:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *staging) copy(ctx context.Context, b *batch) error {
	if err := s.stage.AddFindings(ctx, s.apply.Now, b.findings); err != nil {
		return err
	}
	if err := s.stage.AddChangedAssets(ctx, b.assets); err != nil {
		return err
	}
	return s.stage.AddInstallations(ctx, b.installed)
}

func (s *staging) asset(position int32) StagedAsset {
	known := &s.census.known[position]
	return StagedAsset{AssetID: known.ID, Hash: s.sums[known.Index], Parts: uint8(s.changed[position]), Uncompared: s.poor}
}

func (s *staging) install() {
	if len(s.group.installed) == 0 {
		return
	}
	n := StagedInstallation{AssetID: s.group.asset.AssetID}
	for _, at := range s.group.installed {
		n.Software, n.Locations = append(n.Software, at.software), append(n.Locations, at.location)
		s.needed.add(at.location)
	}
	s.batch.installed = append(s.batch.installed, n)
}

// finish stages what is left: changed assets without any row have lost all their findings.
func (s *staging) finish(ctx context.Context) error {
	s.apply.Exposures = slices.Collect(maps.Values(s.exposures))
	assets := make([]StagedAsset, 0, stageBatch/10)
	for position, left := range s.changed {
		if left != 0 {
			assets = append(assets, s.asset(int32(position)))
		}
		if len(assets) == cap(assets) || position == len(s.changed)-1 {
			if err := s.stage.AddChangedAssets(ctx, assets); err != nil {
				return err
			}
			assets = assets[:0]
		}
	}
	return s.locate(ctx, &s.needed)
}

// locate stages the places that changed assets refer to, whoever else has software there.
func (p *pass) locate(ctx context.Context, needed *neededPlaces) error {
	batch := make([]StagedLocation, 0, stageBatch/10)
	err := p.places.each(func(l StagedLocation) error {
		if !needed.take(l.ID) {
			return nil
		}
		if batch = append(batch, l); len(batch) < cap(batch) {
			return nil
		}
		err := p.stage.AddLocations(ctx, batch)
		batch = batch[:0]
		return err
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return p.stage.AddLocations(ctx, batch)
}
