// x509 asks for it, and has to find it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate and its private key, in PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

/** A certificate authority that nobody trusts, unless told to. */
export class Authority {
  private constructor(private certificate: x509.X509Certificate, private key: CryptoKey) {}

  static async create(): Promise<Authority> {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=Authority of a test",
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    });
    return new Authority(certificate, keys.privateKey);
  }

  get pem(): string {
    return this.certificate.toString("pem");
  }

  /** A certificate for a host name. It lasts for a day, or ended yesterday. */
  async issue(hostname: string, options?: { expired: boolean }): Promise<Certificate> {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const day = 24 * 60 * 60_000;
    const notAfter = new Date(Date.now() + (options?.expired ? -day : day));
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${hostname}`,
      issuer: this.certificate.subject,
      notBefore: new Date(notAfter.getTime() - 2 * day),
      notAfter,
      signingKey: this.key,
      publicKey: keys.publicKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: hostname }])],
    });
    return { cert: certificate.toString("pem"), key: await pemOf(keys.privateKey) };
  }
}

async function pemOf(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}
