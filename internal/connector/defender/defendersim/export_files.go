package defendersim

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	sasHoursMost = 6
	sasTime      = "2006-01-02T15:04:05Z"
)

// serveExportFiles lists the files of the present generation, as SoftwareVulnerabilitiesExport does: addresses with a shared
// access signature that is good for sasValidHours, from 1 to 6.
func (s *Simulator) serveExportFiles(w http.ResponseWriter, c *apiCall) *apiError {
	hours := 1
	if c.params.sasHours != "" {
		var err error
		if hours, err = strconv.Atoi(c.params.sasHours); err != nil || hours < 1 || hours > sasHoursMost {
			return badRequest("sasValidHours must be a number from 1 to %d.", sasHoursMost)
		}
	}
	base := baseURL(c.request)
	if host := s.switches().BlobHost; host != "" {
		base = base[:len(base)-len(c.request.Host)] + host
	}
	number, parts := c.dir.keep(c.mapped.state, s.now()), c.settings.exportFiles()
	apiHeaders(w.Header())
	b := append([]byte(`{"@odata.context":`), strconv.Quote(c.base+"/api/$metadata#microsoft.windowsDefenderATP.api.ExportFilesResponse")...)
	b = append(b, `,"exportFiles":[`...)
	for part := range parts {
		if part > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, base+s.share(fileName(c.settings.ID, c.mapped.generated, part, parts, number), s.now(), time.Duration(hours)*time.Hour))
	}
	b = append(b, `],"generatedTime":"`...)
	b = append(append(b, c.mapped.generated.UTC().Format(sasTime)...), '"')
	_, _ = w.Write(s.closeObject(b)) // a failed write means the client has gone
	return nil
}

// fileName is the path of a part. The last group of the GUID in it holds the number of the chain, the one before the number of parts.
func fileName(directoryID string, generated time.Time, part, parts, number int) string {
	return fmt.Sprintf("/blob/%s/VaExport/json/OrgId=%s/part-%05d-7c2e5f10-4b1d-4d7e-%04x-%012x.c000.json.gz",
		generated.UTC().Format("2006-01-02/1504"), directoryID, part, parts, number)
}

// share adds a shared access signature to the path of a file.
func (s *Simulator) share(path string, from time.Time, life time.Duration) string {
	q := url.Values{"sv": {"2022-11-02"}, "sr": {"b"}, "sp": {"r"}, "spr": {"https"}, "st": {from.UTC().Format(sasTime)}, "se": {from.Add(life).UTC().Format(sasTime)}}
	q.Set("sig", s.signature(path, q))
	return path + "?" + q.Encode()
}

func (s *Simulator) signature(path string, q url.Values) string {
	return base64.StdEncoding.EncodeToString(s.mac("sas " + path + " " + q.Get("st") + " " + q.Get("se")))
}
