package syncer

import (
	"context"
	"maps"
	"slices"
)

// staging hands the changed assets of a pass to the database: findings in batches while they are grouped, what hangs on
// them at the end.
type staging struct {
	*pass
	apply     ApplyFindings
	changed   []bool // by position in census.known; false again once staged
	group     grouping
	exposures tally
	needed    map[int64]struct{} // locations

	findings  []StagedFinding
	software  []int32 // backs the findings' software
	assets    []StagedAsset
	installed []StagedInstallation
}

// stageBatch is how many records go into one COPY.
const stageBatch = 20_000

// machine stages one machine's findings if its asset changed.
func (s *staging) machine(ctx context.Context, machine int32, rows []spooledRow) error {
	position := s.census.assets[machine]
	if position < 0 || !s.changed[position] {
		return nil
	}
	s.changed[position] = false
	s.group.begin(s.asset(position))
	s.group.take(rows)
	s.exposures.add(s.group.findings, s.apply.Now)
	s.assets = append(s.assets, s.group.asset)
	s.install()
	for _, f := range s.group.findings {
		start := len(s.software)
		s.software = append(s.software, f.Software...)
		f.Software = s.software[start:len(s.software):len(s.software)]
		s.findings = append(s.findings, f)
	}
	if len(s.findings) < stageBatch {
		return nil
	}
	return s.flush(ctx)
}

func (s *staging) asset(position int32) StagedAsset {
	known := &s.census.known[position]
	return StagedAsset{AssetID: known.ID, Hash: s.sums[known.Index].bytes()}
}

func (s *staging) install() {
	if len(s.group.installed) == 0 {
		return
	}
	n := StagedInstallation{AssetID: s.group.asset.AssetID}
	for _, at := range s.group.installed {
		n.Software, n.Locations = append(n.Software, at.software), append(n.Locations, at.location)
		s.needed[at.location] = struct{}{}
	}
	s.installed = append(s.installed, n)
}

func (s *staging) flush(ctx context.Context) error {
	if err := s.stage.AddFindings(ctx, s.apply.Now, s.findings); err != nil {
		return err
	}
	s.findings, s.software = s.findings[:0], s.software[:0]
	err := s.stage.AddInstallations(ctx, s.installed)
	s.installed = s.installed[:0]
	return err
}

// finish stages what is left: changed assets without any row have lost all their findings.
func (s *staging) finish(ctx context.Context) error {
	if len(s.findings) > 0 {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	for position, left := range s.changed {
		if left {
			s.assets = append(s.assets, s.asset(int32(position)))
		}
	}
	s.apply.Exposures = slices.Collect(maps.Values(s.exposures))
	if err := s.stage.AddChangedAssets(ctx, s.assets); err != nil {
		return err
	}
	return s.locate(ctx)
}

// locate stages the places that changed assets refer to, whoever else has software there.
func (s *staging) locate(ctx context.Context) error {
	batch := make([]StagedLocation, 0, stageBatch/10)
	err := s.places.each(func(l StagedLocation) error {
		if _, wanted := s.needed[l.ID]; !wanted {
			return nil
		}
		delete(s.needed, l.ID)
		if batch = append(batch, l); len(batch) < cap(batch) {
			return nil
		}
		err := s.stage.AddLocations(ctx, batch)
		batch = batch[:0]
		return err
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return s.stage.AddLocations(ctx, batch)
}
