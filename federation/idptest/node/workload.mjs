// A workload of the AWS SDK for JavaScript that has nothing but its environment. Each line on standard input makes it ask who it is.
import { createInterface } from 'node:readline'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'

const sts = new STSClient({})
for await (const _ of createInterface({ input: process.stdin })) {
  const { Arn } = await sts.send(new GetCallerIdentityCommand({}))
  console.log(Arn)
}
