package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// AddInstallations stages where the software of assets sits.
func (st *stage) AddInstallations(ctx context.Context, installations []syncer.StagedInstallation) error {
	return st.copy(ctx, "stage_installation (asset_id, software_ids, location_ids)", func(w *copyWriter) {
		for i := range installations {
			w.int(installations[i].AssetID)
			numbersField(w, installations[i].Software)
			numbersField(w, installations[i].Locations)
			w.end()
		}
	})
}

// AddLocations stages sets of paths.
func (st *stage) AddLocations(ctx context.Context, locations []syncer.StagedLocation) error {
	return st.copy(ctx, "stage_location (id, disk_paths, registry_paths)", func(w *copyWriter) {
		for i := range locations {
			w.int(locations[i].ID)
			w.strings(locations[i].DiskPaths)
			w.strings(locations[i].RegistryPaths)
			w.end()
		}
	})
}

// AddRemediations stages recommendations.
func (st *stage) AddRemediations(ctx context.Context, remediations []syncer.StagedRemediation) error {
	const target = "stage_remediation (software_id, vulnerability_id, update_text, update_id, update_url, update_ready, exploitability, changed_at)"
	return st.copy(ctx, target, func(w *copyWriter) {
		for i := range remediations {
			r := &remediations[i]
			w.int(int64(r.Software))
			w.int(int64(r.Vulnerability))
			w.text(r.Text)
			w.text(r.ID)
			w.text(r.URL)
			w.optionalBool(r.Ready)
			w.text(r.Exploitability)
			w.int(int64(r.ChangedAt))
			w.end()
		}
	})
}

// countMoved counts the assets whose software lies elsewhere than it did: where the same software has other paths, or where the
// paths are all that changed of the asset. It is asked before they are written.
func (st *stage) countMoved(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	if o.Poor {
		return nil
	}
	return tx.GetContext(ctx, &c.Moved, `
		with differing as (
		  select s.asset_id as id, s.software_ids, s.location_ids, n.software_ids as old_software, n.location_ids as old_locations
		  from stage_installation s left join installation n on n.tenant_id = $1 and n.asset_id = s.asset_id
		  where (s.software_ids, s.location_ids) is distinct from (n.software_ids, n.location_ids) -- cheap, and enough for most
		    and exists (select * from unnest(s.software_ids, s.location_ids) except select * from unnest(n.software_ids, n.location_ids))
		)
		select count(*) from differing m left join (select distinct asset_id as id from delta) d using (id)
		where d.id is null
		   or exists (select from unnest(m.software_ids, m.location_ids) i (software, location)
		     join unnest(m.old_software, m.old_locations) o (software, location) using (software) where i.location <> o.location)`, st.job.Tenant)
}
