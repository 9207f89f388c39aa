// What the compiler takes of an app that has declared its rules: right uses compile, wrong ones do not.
import t from 'tap'
import ts from 'typescript'

t.test('publish takes what the rules allow, and a wrong payload does not compile', async (t) => {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, '.')
  const files = ['test/rules/typed/object.ts', 'test/rules/typed/list.ts']
  const program = ts.createProgram(files, options)
  const faults = files.flatMap((file) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map(({ messageText, start }) => {
      return `${file} ${start}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
    }),
  )
  t.strictSame(faults, [])
})
