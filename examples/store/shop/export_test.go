package shop

// For the tests of package shop_test.
var (
	Moves       = moves
	Move        = move
	EstimateOf  = estimate
	InsertOrder = insertOrder
)
