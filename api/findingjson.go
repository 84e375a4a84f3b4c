package api

// AppendJSON appends the finding as [encoding/json] writes it, with "&" and "<" legible, and several times as fast.
func (f Finding) AppendJSON(to []byte) ([]byte, error) {
	w := jsonWriter{out: to}
	w.text(`{"id":`, f.ID)
	w.text(`,"asset_id":`, f.AssetID)
	w.text(`,"integration_id":`, f.IntegrationID)
	w.text(`,"hostname":`, f.Hostname)
	w.text(`,"primary_ip":`, f.PrimaryIP)
	w.text(`,"vulnerability_id":`, f.VulnerabilityID)
	w.text(`,"title":`, f.Title)
	w.text(`,"state":`, string(f.State))
	w.someText(`,"state_reason":`, f.StateReason)
	w.text(`,"severity":`, string(f.Severity))
	w.text(`,"severity_source":`, string(f.SeveritySource))
	w.text(`,"attack_vector":`, string(f.AttackVector))
	f.writeHistory(&w)
	w.flag(`,"fix_available":`, f.FixAvailable)
	w.text(`,"detail":`, string(f.Detail))
	array(&w, `,"instances":`, f.Instances, func(i *Instance) { i.write(&w) })
	f.PGP.write(&w, `,"pgp":`)
	w.time(`,"created_at":`, f.CreatedAt)
	w.time(`,"updated_at":`, f.UpdatedAt)
	w.raw("}")
	return w.out, w.err
}

func (f *Finding) writeHistory(w *jsonWriter) {
	w.time(`,"first_seen_at":`, f.FirstSeenAt)
	w.time(`,"last_seen_at":`, f.LastSeenAt)
	w.someTime(`,"fixed_at":`, f.FixedAt)
	w.someTime(`,"reopened_at":`, f.ReopenedAt)
	w.number(`,"reopened_count":`, int64(f.ReopenedCount))
}

func (i *Instance) write(w *jsonWriter) {
	w.text(`{"vendor":`, i.Vendor)
	w.text(`,"product":`, i.Product)
	w.text(`,"version":`, i.Version)
	texts(w, `,"paths":`, i.Paths)
	texts(w, `,"registry_keys":`, i.RegistryKeys)
	i.KB.write(w, `,"kb":`)
	w.raw("}")
}

// write puts commas between members only: each of them may be missing.
func (u *SecurityUpdate) write(w *jsonWriter, lead string) {
	if u == nil {
		return
	}
	w.raw(lead)
	before := "{"
	for _, member := range []struct{ name, value string }{{`"id":`, u.ID}, {`"title":`, u.Title}, {`"url":`, u.URL}} {
		if member.value != "" {
			w.raw(before)
			w.text(member.name, member.value)
			before = ","
		}
	}
	if before == "{" {
		w.raw(before)
	}
	w.raw("}")
}

func (p *PGPRisk) write(w *jsonWriter, lead string) {
	if p == nil {
		return
	}
	w.raw(lead)
	w.text(`{"key":`, p.Key)
	w.text(`,"name":`, p.Name)
	w.text(`,"status":`, p.Status)
	w.number(`,"priority":`, int64(p.Priority))
	w.raw("}")
}
