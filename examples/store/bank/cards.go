package bank

import (
	"strings"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Card is a card that the provider keeps. The shop knows its token and what to call it, never its number.
type Card struct {
	Token string
	Name  string

	method string // Stripe's: https://docs.stripe.com/testing
}

// Cards returns the provider's test cards. In a shop of your own, the provider's form in the page makes such a token of
// what the customer types. The two that take their time are bank accounts in dollars: Stripe's own test mode refuses them for this
// shop's euros.
func Cards() []Card {
	return []Card{
		{"tok_visa", "Visa test card", "pm_card_visa"},
		{"tok_mastercard", "Mastercard test card", "pm_card_mastercard"},
		{fakepay.SourceDeclined, "Test card that is declined", "pm_card_visa_chargeDeclined"},
		{fakepay.SourceInsufficientFunds, "Test card without money on it", "pm_card_visa_chargeDeclinedInsufficientFunds"},
		{fakepay.SourceExpiredCard, "Test card that has expired", "pm_card_chargeDeclinedExpiredCard"},
		{fakepay.SourceAccepted, "Test card that takes its time (10 s)", "pm_usBankAccount_success"},
		{fakepay.SourceAcceptedDeclined, "Test card that takes its time, and is declined", "pm_usBankAccount_insufficientFunds"},
	}
}

// Known says whether a token is one of Cards.
func Known(token string) bool { return method(token) != token }

func method(token string) string {
	for _, card := range Cards() {
		if card.Token == token {
			return card.method
		}
	}
	return token
}

func methodType(token string) string {
	if strings.HasPrefix(method(token), "pm_usBankAccount_") {
		return "us_bank_account"
	}
	return "card"
}
