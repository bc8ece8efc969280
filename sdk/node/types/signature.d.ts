/** The body of a webhook's message. It never holds a value. */
export interface WebhookMessage {
  event: string;
  timestamp: string;
  data: Record<string, any>;
}

/**
 * Verifies that a message comes from one's webhook, and returns its payload;
 * throws a SignatureError otherwise. body is the request's body as it came, not
 * parsed. X-KeyNest-Signature counts if it is there, else the headers of Standard
 * Webhooks. tolerance is how many seconds (300) the signature may be old.
 */
export function verifyWebhook(
  body: string | Uint8Array,
  headers: Record<string, string | string[] | undefined> | { get(name: string): string | null },
  secret: string,
  options?: { tolerance?: number; now?: number },
): WebhookMessage;
