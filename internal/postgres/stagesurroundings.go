package postgres

import (
	"context"

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
	const target = "stage_remediation (software_id, vulnerability_id, update_text, update_id, update_url, update_ready, exploitability)"
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
			w.end()
		}
	})
}
