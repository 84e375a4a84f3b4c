package httpapi

// routes lists every operation with the least role that may call it and the query parameters it knows.
func (s *server) routes(r *router) {
	r.Get("/v1/catalog/integrations", readonly(s.listIntegrationTypes).query("category", "q"))
	r.Get("/v1/catalog/integrations/{type}", readonly(s.getIntegrationType))

	r.Get("/v1/integrations", readonly(s.listIntegrations).query("type", "state", "limit", "cursor"))
	r.Post("/v1/integrations", admin(s.connectIntegration).query("validate_only").asksMicrosoft().repeatable(s.connectedBefore))
	r.Get("/v1/integrations/{id}", readonly(s.getIntegration))
	r.Patch("/v1/integrations/{id}", admin(s.updateIntegration).conditional().asksMicrosoft())
	r.Delete("/v1/integrations/{id}", admin(s.disconnectIntegration).conditional().query("data"))
	r.Post("/v1/integrations/{id}/rotate-secret", admin(s.rotateIntegrationSecret).conditional().asksMicrosoft())
	r.Delete("/v1/integrations/{id}/staged-secret", admin(s.dropStagedSecret).conditional())
	r.Post("/v1/integrations/{id}/validate", analyst(s.validateIntegration).conditional().asksMicrosoft())
	r.Post("/v1/integrations/{id}/pause", admin(s.pauseIntegration).conditional().query("cancel_run"))
	r.Post("/v1/integrations/{id}/resume", admin(s.resumeIntegration).conditional())

	r.Get("/v1/integrations/{id}/held-changes", readonly(s.listHeldChanges))
	r.Post("/v1/integrations/{id}/held-changes/approve", admin(s.approveHeldChange).conditional())

	r.Get("/v1/integrations/{id}/reconciliation", readonly(s.getReconciliation))
	r.Get("/v1/integrations/{id}/runs", readonly(s.listIntegrationRuns).query(runFilters...))
	r.Post("/v1/integrations/{id}/runs", analyst(s.startRun).conditional().repeatable(s.startedBefore))
	r.Get("/v1/runs", readonly(s.listRuns).query("integration_id").query(runFilters...))
	r.Get("/v1/runs/{id}", readonly(s.getRun))
	r.Get("/v1/runs/{id}/diagnostics", readonly(s.getRunDiagnostics))
	r.Get("/v1/runs/{id}/skipped", analyst(s.listSkipped).query("reason", "limit", "cursor").orLines())
	r.Post("/v1/runs/{id}/cancel", analyst(s.cancelRun))

	r.Get("/v1/assets", readonly(s.listAssets).query(assetFilters...).orLines())
	r.Get("/v1/assets/{id}", readonly(s.getAsset))
	r.Get("/v1/assets/{id}/findings", readonly(s.listAssetFindings).query(findingFilters...))

	r.Get("/v1/vulnerabilities", readonly(s.listVulnerabilities).query(vulnerabilityFilters...).orLines())
	r.Get("/v1/vulnerabilities/{cve}", readonly(s.getVulnerability))
	r.Get("/v1/vulnerabilities/{cve}/assets", readonly(s.listVulnerabilityAssets).query("integration_id", "sort", "limit", "cursor"))

	r.Get("/v1/findings", readonly(s.listFindings).query("integration_id", "asset_id").query(findingFilters...).orLines())
	r.Get("/v1/findings/{id}", readonly(s.getFinding))
	r.Get("/v1/findings/{id}/history", readonly(s.getFindingHistory))
	r.Get("/v1/summary", readonly(s.getSummary))

	r.Get("/v1/tenant", readonly(s.getTenant))
	r.Get("/v1/entitlements", readonly(s.getEntitlements))
	r.Get("/v1/api-keys", admin(s.listAPIKeys).query("limit", "cursor"))
	r.Post("/v1/api-keys", admin(s.createAPIKey).repeatable(s.keyCreatedBefore))
	r.Delete("/v1/api-keys/{id}", admin(s.deleteAPIKey))
	r.Get("/v1/audit-events", admin(s.listAuditEvents).query(auditFilters...).orLines())

	r.Get("/v1/tenants", platform(s.listTenants).query("state", "name", "limit", "cursor"))
	r.Post("/v1/tenants", platform(s.createTenant).repeatable(s.tenantCreatedBefore))
	r.Get("/v1/tenants/{id}", platform(s.getManagedTenant))
	r.Patch("/v1/tenants/{id}", platform(s.updateTenant).conditional())
	r.Delete("/v1/tenants/{id}", platform(s.deleteTenant).conditional())
	r.Get("/v1/tenants/{id}/entitlements", platform(s.getTenantEntitlements))
	r.Get("/v1/platform/audit-events", platform(s.listPlatformAuditEvents).query(auditFilters...).orLines())
	r.Put("/v1/tenants/{id}/entitlements", platform(s.setEntitlements).conditional())

	r.Get("/v1/version", open(s.getVersion))
	r.Get("/openapi.json", open(s.getOpenAPI))
	r.Get("/docs", open(s.getDocs))
	r.Get("/docs/{file}", open(s.getDocsFile))
	r.Get("/problems", open(s.listProblemTypes))
	r.Get("/problems/{code}", open(s.getProblemType))
}
