package postgres

// ShortlistSize is how many rows a list sorts at most for one page.
const ShortlistSize = shortlistSize

// AssetWords and WordVector are what an import stores for the text search.
var (
	AssetWords = assetWords
	WordVector = wordVector
)
