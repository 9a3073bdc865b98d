"""The gateway: takes device events, blinds identifiers, and puts observations on Kafka."""
