// Package goods is what the shops sell.
package goods

// Item is something to buy.
type Item struct {
	ID    string
	Name  string
	Cents int64
	Text  string
	Stock int64 // when the shop opens for the first time
	// MadeToOrder items are charged when they have been made: until then the money is only reserved.
	MadeToOrder bool
}

// All returns the catalogue.
func All() []Item {
	return []Item{
		{ID: "lamp", Name: "Desk lamp", Cents: 49_90, Stock: 100_000, Text: "Warm light, a heavy foot, and a switch that you can find in the dark."},
		{ID: "kettle", Name: "Kettle", Cents: 34_50, Stock: 100_000, Text: "Enamelled steel for a litre and a half. It whistles, once."},
		{ID: "chair", Name: "Office chair", Cents: 189_00, Stock: 100_000, Text: "Ash and wool, with a back that gives way. For years, not for a season."},
		{ID: "radio", Name: "Kitchen radio", Cents: 79_95, Stock: 100_000, Text: "Two dials and one speaker. It plays as soon as it is switched on."},
		{ID: "clock", Name: "Wall clock", Cents: 27_00, Stock: 100_000, Text: "A quiet movement, plain hands. It is right more than twice a day."},
		{ID: "table", Name: "Oak side table", Cents: 245_00, Stock: 100_000, MadeToOrder: true, Text: "Made for you. We reserve the money when you order, and take it when the table is made."},
	}
}

// Find returns an item by its ID. Prices come from here, never from a form.
func Find(id string) (Item, bool) {
	for _, item := range All() {
		if item.ID == id {
			return item, true
		}
	}
	return Item{}, false
}
