/** As GitHub names a heading, so that the same links hold there and on the site. */
export function headingSlug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}
